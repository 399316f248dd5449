"""Folders as ZIP files: the same bytes for the same files, and nothing but plain files of bounded size out of one."""

import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from codesign.errors import ConfigError
from codesign.files import replacing

# The earliest time that the format knows, on every member.
_TIME = (1980, 1, 1, 0, 0, 0)
_MODE, _SCRIPT_MODE = 0o644, 0o755
# The largest bitstreams of these families have some 100 MB; logs can be long.
MAX_BYTES, MAX_FILES = 2 * 2**30, 20_000
_CHUNK = 2**20


def write_zip(folder: Path, target: Path) -> None:
    """All files of a folder, under its name, sorted and without times."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with replacing(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            member = zipfile.ZipInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}", _TIME)
            member.create_system = 3  # Unix, on every system
            member.external_attr = (stat.S_IFREG | (_SCRIPT_MODE if path.suffix == ".sh" else _MODE)) << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as source, archive.open(member, "w") as written:
                shutil.copyfileobj(source, written, _CHUNK)


def is_inside(name: str) -> bool:
    """Whether a name with `/` stays in its folder, on every system, and says so in the one plain way."""
    path = PurePosixPath(name)
    plain = str(path) == name and not path.is_absolute() and name not in ("", ".")
    return plain and ".." not in path.parts and not any(c in name for c in "\\:\0") and name.isprintable()


def extract_zip(path: Path, folder: Path) -> Path:
    """Unpack what `write_zip` wrote into an empty folder; gives the one folder that it holds.

    Raises ConfigError for a damaged file, for members that would leave the folder, are no plain files or come twice,
    and for more than MAX_BYTES or MAX_FILES.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check(path, members)
            for member in members:
                _extract(archive, member, folder / member.filename)
    except OSError as error:
        raise ConfigError(f"cannot unpack {path}: {error.strerror or error}") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise ConfigError(f"{path} is no ZIP file, or a damaged one: {error}") from None
    tops = {PurePosixPath(member.filename).parts[0] for member in members}
    if len(tops) != 1 or any("/" not in member.filename for member in members):
        raise ConfigError(f"{path}: expected one folder in it, got {', '.join(sorted(tops)[:5]) or 'nothing'}")
    return folder / tops.pop()


def _check(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_FILES or sum(member.file_size for member in members) > MAX_BYTES:
        raise ConfigError(f"{path}: more than {MAX_FILES:,} files or {MAX_BYTES >> 30} GiB in it, expected a package")
    seen: set[str] = set()
    for member in members:
        name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
        if not is_inside(name):
            raise ConfigError(f"{path}: its member {name!r} would leave the folder")
        if kind not in (0, stat.S_IFREG):
            raise ConfigError(f"{path}: its member {name!r} is not a plain file")
        if name in seen:
            raise ConfigError(f"{path}: its member {name!r} comes twice")
        seen.add(name)


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """No more than the size that the member claims, which was added up before."""
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with archive.open(member) as source, target.open("xb") as written:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile(f"{member.filename} is larger than it says")
            written.write(chunk)
