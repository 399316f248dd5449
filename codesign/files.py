"""Atomic writes and digests of text; the only place that touches temporary files."""

import hashlib
import os
import tempfile
from pathlib import Path

from codesign.errors import ConfigError


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write beside the target and rename, so that a reader or a crash never sees half a file.

    Raises ConfigError naming the path when the folder cannot be written or the disk is full.
    """
    content = data.encode() if isinstance(data, str) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None


def digest_of(*parts: str | bytes) -> str:
    """SHA-256 over length-prefixed parts, so that no two different lists collide by concatenation."""
    hashed = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hashed.update(len(data).to_bytes(8, "little"))
        hashed.update(data)
    return hashed.hexdigest()


def cache_folder() -> Path:
    """Where trained networks and compiled simulators are kept between runs (`CODESIGN_CACHE` moves it)."""
    if chosen := os.environ.get("CODESIGN_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "codesign"
