"""What a saved model's file says of the model, read with h5py and zipfile alone, within bounds."""

import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codesign.errors import ConfigError

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MEMBERS = ("metadata.json", _CONFIG, _WEIGHTS)
# A description has some kilobytes; a compressed file may claim far more than it has.
_MAX_TEXT, _MAX_WEIGHTS, _MAX_OBJECTS = 16 << 20, 256 << 20, 100_000
SAVE = "save it with model.save('model.h5')"


def description_of_zip(path: Path, source: bytes) -> Any:
    """The description in a .keras archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(source)) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            for name in names:
                if name not in _MEMBERS or names.count(name) > 1:
                    raise ConfigError(f"{path}: holds {name[:80]!r}, expected {', '.join(_MEMBERS)}, each once")
            if missing := [name for name in _MEMBERS if name not in names]:
                raise ConfigError(f"{path}: holds no {missing[0]}; {SAVE}")
            for member in members:
                if member.file_size > (_MAX_WEIGHTS if member.filename == _WEIGHTS else _MAX_TEXT):
                    raise ConfigError(
                        f"{path}: {member.filename} unpacks to {member.file_size} bytes, which is refused"
                    )
            weights = archive.read(_WEIGHTS)
            config, metadata = json.loads(archive.read(_CONFIG)), json.loads(archive.read("metadata.json"))
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        ValueError,
        OSError,
        struct.error,
        zlib.error,
    ) as error:
        # RecursionError is a RuntimeError, and `check_file` has words for it.
        if isinstance(error, RecursionError):
            raise
        raise ConfigError(f"{path} is not a .keras file{_looks_like(source)}: {error}") from None
    _check_hdf5(f"{path}: {_WEIGHTS} in it", weights)
    version = str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""
    if version.split(".")[0].isdecimal() and int(version.split(".")[0]) > 2:
        raise ConfigError(f"{path}: saved by Keras {version[:20]}, which Keras 2 cannot read; {SAVE} under Keras 2")
    return config


def description_of_hdf5(path: Path, source: bytes) -> Any:
    """The description in an .h5 file."""
    text = _check_hdf5(str(path), source)
    if text is None:
        raise ConfigError(f"{path}: holds weights without a model (no model_config); {SAVE}, not save_weights")
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path}: model_config is not JSON: {error}") from None


def _check_hdf5(what: str, source: bytes) -> bytes | None:
    """Refuse what is no HDF5 file, links out of it or claims too much; gives its model_config."""
    import h5py

    try:
        with h5py.File(io.BytesIO(source), "r") as file:
            total = 0
            for name, found in _objects(what, file):
                for key in found.attrs:
                    held = found.attrs.get_id(key)
                    # Texts of any length count as pointers; they are in the file as they are, which is bounded.
                    if math.prod(held.shape) * held.dtype.itemsize > _MAX_TEXT:
                        raise ConfigError(f"{what}: '{key}' has more than {_MAX_TEXT} bytes, which is refused")
                    found.attrs[key]  # damage shows now, not while Keras loads it
                if not isinstance(found, h5py.Dataset):
                    continue
                if found.external or found.is_virtual:
                    raise ConfigError(f"{what}: '{name}' is kept in another file, which is refused")
                total += found.size * max(found.dtype.itemsize, 1)
                if total > _MAX_WEIGHTS:
                    raise ConfigError(f"{what} unpacks to more than {_MAX_WEIGHTS} bytes, which is refused")
                found[()]
            text = file.attrs.get("model_config")
            return text.encode() if isinstance(text, str) else None if text is None else bytes(text)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as error:
        # h5py turns whatever its library says of a damaged file into one of these.
        if isinstance(error, RecursionError):
            raise
        reason = " ".join(str(error).split())[:120]
        raise ConfigError(f"{what} is not an HDF5 file{_looks_like(source)}: {reason}") from None


def _objects(what: str, root: Any) -> Iterator[tuple[str, Any]]:
    """Everything in an HDF5 file by its name. Only hard links are followed, and each object is met once."""
    import h5py  # here and above: a study without a file does not need it

    waiting, met = [("", root)], set()
    yield "", root
    while waiting:
        prefix, group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ConfigError(f"{what}: '{prefix}{name}' is a link, which is refused")
            found = group[name]
            where = h5py.h5o.get_info(found.id).addr
            if where in met:
                continue
            met.add(where)
            if len(met) > _MAX_OBJECTS:
                raise ConfigError(f"{what} holds more than {_MAX_OBJECTS} objects, which is refused")
            yield f"{prefix}{name}", found
            if isinstance(found, h5py.Group):
                waiting.append((f"{prefix}{name}/", found))


def _looks_like(source: bytes) -> str:
    """What the first bytes say, as words in brackets."""
    kinds = {b"\x89HDF\r\n\x1a\n": "an .h5 file", b"PK\x03\x04": "a .keras file or another zip archive"}
    kind = next((kind for start, kind in kinds.items() if source.startswith(start)), None)
    return f" (it looks like {kind})" if kind else " (it is empty)" if not source else ""
