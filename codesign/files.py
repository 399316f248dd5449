"""Atomic writes, locks and digests."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from codesign.errors import ConfigError


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write beside the target and rename, so that a reader or a crash never sees half a file.

    Raises ConfigError naming the path when the folder cannot be written or the disk is full.
    """
    with replacing(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes the place of `path` once the block has ended well; see `write_atomically`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None
        raise


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
            raise ConfigError(f"another process{_named(lock_holders(path))} works in {path.parent}; {hint}") from None
        yield


def lock_holders(path: Path) -> list[int]:
    """Other processes that hold a lock on a file, ascending, as far as the kernel tells: not those of other machines.

    The file is not opened: closing it again would let go of the POSIX locks that this process has on it.
    """
    try:
        status = path.stat()
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return []
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    held = (line.split() for line in lines if "->" not in line)  # an arrow marks one who waits
    return sorted({int(words[4]) for words in held if len(words) > 5 and words[5] == wanted} - {os.getpid()})


def _named(processes: list[int]) -> str:
    return f" ({', '.join(map(str, processes))})" if processes else ""


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
