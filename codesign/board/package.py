"""The package: everything that a board needs, in one folder and as one ZIP file, with a checksum of every file.

package.json        what it is of, figures, and the SHA-256 of every other file
design.bit .hwh     bitstream and hardware description (design.xclbin for a card)
model.json          what the runtime needs of codesign.json
check.npz           samples, and what the C-simulation gives for them
reports/ logs/      of the tools
codesign_runtime/   what runs on the board
"""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.board.archive import extract_zip, is_inside, write_zip
from codesign.errors import ConfigError

FORMAT = 1
MANIFEST, MODEL, CHECK, RUNTIME = "package.json", "model.json", "check.npz", "codesign_runtime"
_MODEL_KEYS = ("network_name", "network", "plan", "stream", "registers", "upset_slots", "layers")
# What each key of package.json holds.
_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("network_name", "network", "plan", "board", "part"), str),
    **dict.fromkeys(("clock_ns", "seconds"), (int, float)),
    **dict.fromkeys(("tool", "resources", "timing", "files"), dict),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Package:
    """A folder whose files are those that its manifest names."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of the folder and the ZIP file, here and on the board."""
        return package_name(self.manifest["network_name"], self.manifest["board"])

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, which holds those of all files."""
        return file_digest(self.folder / MANIFEST)

    @property
    def files(self) -> list[str]:
        """All files, the manifest last: a folder with one is complete."""
        return [*sorted(self.manifest["files"]), MANIFEST]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum((self.folder / name).stat().st_size for name in self.files)


def package_name(network_name: str, board: str) -> str:
    """What a network's package for a board is called."""
    return f"{network_name}-{board}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_package(target: Path, files: Mapping[str, Path | bytes], about: Mapping[str, Any]) -> Package:
    """Write the folder `target` and `target`.zip beside it, replacing both; `about` is package.json without `files`.

    `files` maps names in the package to what they hold. Nothing is replaced before everything is written and
    verified. Raises ConfigError for what cannot be written or is not whole.
    """
    if target.exists() and not (target / MANIFEST).is_file():
        raise ConfigError(f"{target} exists and is no package: remove it or choose another folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as name:
            staged = Path(name) / target.name
            for inside, content in files.items():
                _write(staged / inside, content)
            sums = {inside: file_digest(staged / inside) for inside in sorted(files)}
            document = {"format": FORMAT, **about, "files": sums}
            (staged / MANIFEST).write_text(json.dumps(document, indent=1) + "\n")
            verify(staged)
            archive = Path(name) / f"{target.name}.zip"
            write_zip(staged, archive)
            if target.exists():
                target.rename(Path(name) / "replaced")
            staged.rename(target)
            archive.replace(target.parent / archive.name)
    except OSError as error:
        raise ConfigError(f"cannot write the package {target}: {error.strerror or error}") from None
    return Package(target, document)


def _write(path: Path, content: Path | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        shutil.copyfile(content, path)


@contextmanager
def open_package(path: Path) -> Iterator[Package]:
    """A package from its folder or ZIP file, verified. Raises ConfigError saying what is wrong with it."""
    if path.is_dir():
        yield verify(path)
    elif path.is_file():
        with tempfile.TemporaryDirectory(prefix="codesign-package-") as name:
            yield verify(extract_zip(path, Path(name)), shown=path)
    else:
        raise ConfigError(f"no package {path}")


def verify(folder: Path, shown: Path | None = None) -> Package:
    """The package in a folder, every file of it checked; `shown` is what errors call it."""
    where = shown or folder
    manifest = _manifest(folder, where)
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    if links := sorted(name for name, path in found.items() if path.is_symlink() or not path.is_file()):
        raise ConfigError(f"package {where}: {links[0]} is not a plain file")
    named = set(manifest["files"])
    if strange := sorted(found.keys() - named - {MANIFEST}):
        raise ConfigError(f"package {where}: {strange[0]} is not in its {MANIFEST} ({len(strange)} such files)")
    if missing := sorted(named - found.keys()):
        raise ConfigError(f"package {where}: {missing[0]} is missing ({len(missing)} such files)")
    for name, digest in manifest["files"].items():
        if file_digest(found[name]) != digest:
            raise ConfigError(f"package {where}: {name} is not what was packed, its checksum differs: build it again")
    _check_model(folder, manifest, where)
    return Package(folder, manifest)


def _manifest(folder: Path, where: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise ConfigError(f"{where} is no package: it has no {MANIFEST}")
    manifest = _read_json(path, where)
    if (version := manifest.get("format")) != FORMAT:
        raise ConfigError(f"package {where} is of format {version!r}, this codesign reads {FORMAT}: build it again")
    for key, expected in _TYPES.items():
        if not isinstance(manifest.get(key), expected) or isinstance(manifest.get(key), bool):
            raise ConfigError(f"package {where}: {MANIFEST} has no usable '{key}'")
    for key in ("network_name", "board", "part"):
        if not _NAME.fullmatch(manifest[key]):
            raise ConfigError(f"package {where}: {MANIFEST}: '{key}' is no name: {manifest[key]!r}")
    _check_names(manifest["files"], where)
    return manifest


def _check_names(files: dict[str, Any], where: Path) -> None:
    for name, digest in files.items():
        if not is_inside(name) or not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise ConfigError(f"package {where}: {MANIFEST} names a file {name!r} that cannot be one of its own")
    needed = {MODEL, CHECK, f"{RUNTIME}/__init__.py"}
    if missing := sorted(needed - files.keys()):
        raise ConfigError(f"package {where} has no {missing[0]}")
    if not {"design.bit", "design.hwh"} <= files.keys() and "design.xclbin" not in files:
        raise ConfigError(f"package {where} has neither design.bit with design.hwh nor design.xclbin")


def _check_model(folder: Path, manifest: dict[str, Any], where: Path) -> None:
    model = _read_json(folder / MODEL, where)
    if missing := [key for key in _MODEL_KEYS if key not in model]:
        raise ConfigError(f"package {where}: {MODEL} has no '{missing[0]}'")
    for key in ("network_name", "network", "plan"):
        if model[key] != manifest[key]:
            raise ConfigError(f"package {where}: {MODEL} is of another {key} than {MANIFEST}")


def _read_json(path: Path, where: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"package {where}: {path.name} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"package {where}: {path.name} is no JSON object")
    return found


def model_json(manifest: Mapping[str, Any], network_name: str, layers: list[str]) -> dict[str, Any]:
    """model.json, from a board project's codesign.json and the names of the layers that compute."""
    values = {
        "network_name": network_name,
        "network": manifest["network"],
        "plan": manifest["plan_digest"],
        "layers": layers,
        **{key: manifest[key] for key in ("stream", "registers", "upset_slots")},
    }
    return {key: values[key] for key in _MODEL_KEYS}


def runtime_files() -> dict[str, Path]:
    """The runtime's sources, by their names in a package."""
    folder = Path(__file__).resolve().parent / "runtime"
    found = sorted(folder.rglob("*.py"))
    if not (folder / "__init__.py").is_file():
        raise ConfigError(f"this installation lacks the board's runtime: no {folder}")
    return {f"{RUNTIME}/{path.relative_to(folder).as_posix()}": path for path in found}
