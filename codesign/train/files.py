"""A user's own trained model, from an .h5 or .keras file, taken as it is.

Deserialising such a file can run code that it names or holds. So its description is read first, with h5py and zipfile
alone, and whatever is not a layer, quantiser or helper known here is refused by name before Keras sees the file.
"""

import io
import json
import re
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codesign.errors import ConfigError
from codesign.study import Study
from codesign.train.supported import FUNCTIONS, LAYERS, unsupported

_MODELS = ("Functional", "Sequential", "Model")
_QUANTISERS = (
    *("quantized_bits", "quantized_relu", "quantized_tanh", "quantized_sigmoid", "quantized_ulaw", "quantized_po2"),
    *("quantized_relu_po2", "quantized_linear", "quantized_hswish", "bernoulli", "binary", "stochastic_binary"),
    *("ternary", "stochastic_ternary", "ternary_tanh", "binary_tanh"),
)
# What layers are described by besides: initialisers, regularisers and constraints, which compute no output.
_HELPERS = (
    *("QInitializer", "Clip", "Zeros", "Ones", "Constant", "RandomNormal", "RandomUniform", "TruncatedNormal"),
    *("VarianceScaling", "Orthogonal", "Identity", "LecunNormal", "LecunUniform", "GlorotNormal", "GlorotUniform"),
    *("HeNormal", "HeUniform", "L1", "L2", "L1L2", "MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm"),
)
_PACKAGES = ("keras", "qkeras", "builtins")
# Under these keys QKeras evaluates a text such as "quantized_relu(4)".
_EVALUATED = re.compile(r"(.*_)?(quantizer|activation)\Z")
_CALL = re.compile(r"(?P<name>\w+)(\([\w\s.,=+'\"-]*\))?\Z")

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MEMBERS = ("metadata.json", _CONFIG, _WEIGHTS)
# A description has some kilobytes; a compressed file may claim far more than it has.
_MAX_TEXT, _MAX_WEIGHTS, _MAX_OBJECTS = 16 << 20, 256 << 20, 100_000
_SAVE = "save it with model.save('model.h5')"


def load(study: Study, custom_objects: dict[str, Any]) -> Any:
    """The study's Keras model, uncompiled. Raises ConfigError, one line, for a file that cannot or must not be loaded.

    `custom_objects` are classes and functions by name; they are looked at only with `allow_custom_code`.
    """
    path, source = study.model_path, study.model_source
    assert path is not None and source is not None
    allowed = study.model.allow_custom_code
    check_file(path, source, allow_custom_code=allowed)
    from codesign.train.training import tensorflow

    tf = tensorflow()
    known = {**_qkeras_objects(), **(custom_objects if allowed else {})}
    with tempfile.TemporaryDirectory(prefix="codesign-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of QKeras's parser of quantisers
        # The bytes that were checked and digested are those that are loaded.
        copy = Path(folder) / f"model{path.suffix}"
        copy.write_bytes(source)
        try:
            return tf.keras.models.load_model(copy, known, compile=False, safe_mode=not allowed)
        except Exception as error:  # Keras raises whatever its layers raise
            reason = " ".join(str(error).replace(str(copy), str(path)).split())[:300]
            raise ConfigError(f"{path}: Keras cannot load it: {type(error).__name__}: {reason}") from error


def _qkeras_objects() -> dict[str, Any]:
    """QKeras's layers and quantisers by name."""
    import qkeras
    from qkeras.utils import _add_supported_quantized_objects

    class QActivation(qkeras.QActivation):
        """QKeras 0.9.0 writes the quantiser into a .keras file and does not make it one again."""

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> "QActivation":
            return cls(**{**config, "activation": qkeras.get_quantizer(config["activation"])})

    known: dict[str, Any] = {}
    _add_supported_quantized_objects(known)
    return {**known, "QActivation": QActivation}


def check_file(path: Path, source: bytes, *, allow_custom_code: bool = False) -> None:
    """Raise ConfigError unless these bytes are what the path's name says, of bounded size and free of code."""
    try:
        config = _of_zip(path, source) if path.suffix == ".keras" else _of_hdf5(path, source)
        if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
            raise ConfigError(f"{path}: its description is no model's; {_SAVE}")
        if not allow_custom_code:
            _check_classes(path, config)
    except RecursionError:
        raise ConfigError(f"{path}: its description is nested too deeply") from None


def _of_zip(path: Path, source: bytes) -> Any:
    """The description in a .keras archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(source)) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            for name in names:
                if name not in _MEMBERS or names.count(name) > 1:
                    raise ConfigError(f"{path}: holds {name[:80]!r}, expected {', '.join(_MEMBERS)}, each once")
            if missing := [name for name in _MEMBERS if name not in names]:
                raise ConfigError(f"{path}: holds no {missing[0]}; {_SAVE}")
            for member in members:
                if member.file_size > (_MAX_WEIGHTS if member.filename == _WEIGHTS else _MAX_TEXT):
                    raise ConfigError(
                        f"{path}: {member.filename} unpacks to {member.file_size} bytes, which is refused"
                    )
            weights = archive.read(_WEIGHTS)
            config, metadata = json.loads(archive.read(_CONFIG)), json.loads(archive.read("metadata.json"))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError, zlib.error) as error:
        # RecursionError is a RuntimeError, and `check_file` has words for it.
        if isinstance(error, RecursionError):
            raise
        raise ConfigError(f"{path} is not a .keras file{_looks_like(source)}: {error}") from None
    _check_hdf5(path, weights, f"{_WEIGHTS} in ")
    version = str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""
    if version.split(".")[0].isdecimal() and int(version.split(".")[0]) > 2:
        raise ConfigError(f"{path}: saved by Keras {version[:20]}, which Keras 2 cannot read; {_SAVE} under Keras 2")
    return config


def _of_hdf5(path: Path, source: bytes) -> Any:
    """The description in an .h5 file."""
    text = _check_hdf5(path, source)
    if text is None:
        raise ConfigError(f"{path}: holds weights without a model (no model_config); {_SAVE}, not save_weights")
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path}: model_config is not JSON: {error}") from None


def _check_hdf5(path: Path, source: bytes, part: str = "") -> bytes | None:
    """Refuse what is no HDF5 file, links out of it or claims too much; gives its model_config."""
    import h5py

    try:
        with h5py.File(io.BytesIO(source), "r") as file:
            total = 0
            for name, found in _objects(path, part, file):
                if not isinstance(found, h5py.Dataset):
                    continue
                if found.external or found.is_virtual:
                    raise ConfigError(f"{path}: '{name}' in {part}it is kept in another file, which is refused")
                total += found.size * max(found.dtype.itemsize, 1)
                if total > _MAX_WEIGHTS:
                    raise ConfigError(f"{path}: {part}it unpacks to more than {_MAX_WEIGHTS} bytes, which is refused")
            if "model_config" not in file.attrs:
                return None
            if file.attrs.get_id("model_config").get_storage_size() > _MAX_TEXT:
                raise ConfigError(f"{path}: model_config has more than {_MAX_TEXT} bytes, which is refused")
            text = file.attrs["model_config"]
            return text.encode() if isinstance(text, str) else bytes(text)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        # h5py turns whatever its library says of a damaged file into one of these.
        if isinstance(error, RecursionError):
            raise
        reason = " ".join(str(error).split())[:120]
        raise ConfigError(f"{path}: {part}it is not an HDF5 file{_looks_like(source)}: {reason}") from None


def _objects(path: Path, part: str, root: Any) -> Iterator[tuple[str, Any]]:
    """Everything in an HDF5 file by its name. Only hard links are followed, and each object is met once."""
    import h5py  # here and above: a study without a file does not need it

    waiting, met = [("", root)], set()
    while waiting:
        prefix, group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ConfigError(f"{path}: '{prefix}{name}' in {part}it is a link, which is refused")
            found = group[name]
            where = h5py.h5o.get_info(found.id).addr
            if where in met:
                continue
            met.add(where)
            if len(met) > _MAX_OBJECTS:
                raise ConfigError(f"{path}: {part}it holds more than {_MAX_OBJECTS} objects, which is refused")
            yield f"{prefix}{name}", found
            if isinstance(found, h5py.Group):
                waiting.append((f"{prefix}{name}/", found))


def _looks_like(source: bytes) -> str:
    """What the first bytes say, as words in brackets."""
    kinds = {b"\x89HDF\r\n\x1a\n": "an .h5 file", b"PK\x03\x04": "a .keras file or another zip archive"}
    kind = next((kind for start, kind in kinds.items() if source.startswith(start)), None)
    return f" (it looks like {kind})" if kind else " (it is empty)" if not source else ""


# ---------------------------------------------------------------- what the description names


def _check_classes(path: Path, model: dict[str, Any]) -> None:
    """Refuse whatever could run code of the file's choosing, or is no layer that can be carried over."""
    kind, layers = str(model.get("class_name")), model["config"].get("layers")
    if kind not in _MODELS:
        raise _custom(path, f"the model is a {kind[:60]!r}")
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise ConfigError(f"{path}: its description lists no layers; {_SAVE}")
    _check_module(path, "the model", model)
    for layer in layers:
        kind, config = str(layer.get("class_name"))[:60], layer.get("config")
        name = str(config.get("name") if isinstance(config, dict) else layer.get("name"))[:60]
        where = f"layer '{name}' ({kind})"
        if kind == "Lambda":
            raise _custom(path, f"{where} holds code")
        _check_module(path, where, layer)
        if kind not in LAYERS:
            raise ConfigError(f"{path}: {unsupported(name, kind)}")
        for key, value in layer.items():
            _check_value(path, where, key, value)


def _check_value(path: Path, where: str, key: str, value: Any) -> None:
    """Look at one value of a layer's description, at every depth."""
    if isinstance(value, list):
        for item in value:
            _check_value(path, where, key, item)
    elif isinstance(value, str) and _EVALUATED.match(key):
        call = _CALL.match(value)
        if not call or call["name"] not in (*_QUANTISERS, *FUNCTIONS, "linear"):
            raise _custom(path, f"{where}: {key} is {value[:60]!r}")
    elif isinstance(value, dict):
        if "class_name" in value:
            _check_object(path, where, key, value)
        for inner, item in value.items():
            _check_value(path, where, str(inner), item)


def _check_object(path: Path, where: str, key: str, value: dict[str, Any]) -> None:
    kind = str(value["class_name"])
    if kind == "function":
        kind = str(value.get("config"))
        known = kind in (*_QUANTISERS, *FUNCTIONS, "linear")
    else:
        known = kind in (*_QUANTISERS, *_HELPERS)
    if not known:
        raise _custom(path, f"{where}: {key} is {kind[:60]!r}")
    _check_module(path, f"{where}: {key}", value)


def _check_module(path: Path, where: str, value: dict[str, Any]) -> None:
    """Keras imports the module that a description names, and takes what is registered under another name."""
    module, kind, registered = value.get("module"), value["class_name"], value.get("registered_name")
    if module is not None and str(module).partition(".")[0] not in _PACKAGES:
        raise _custom(path, f"{where} comes from the module {str(module)[:60]!r}")
    if kind != "function" and registered not in (None, kind):
        raise _custom(path, f"{where} is registered as {str(registered)[:60]!r}")


def _custom(path: Path, what: str) -> ConfigError:
    return ConfigError(
        f"{path}: {what}: loading it could run code, which is refused unless the study says "
        "[model] allow_custom_code = true"
    )
