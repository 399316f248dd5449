"""Atomic writes, locks and digests."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def locked(path: Path, hint: str, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file; the system lets go of it when the process ends, however it ends.

    Raises ConfigError, ending in `hint`, when the file cannot be written or, without `wait`, another
    process holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; {hint}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another process works in {path.parent}; {hint}") from None
        yield


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
