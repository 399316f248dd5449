"""A user's own trained model, from an .h5 or .keras file, taken as it is.

Deserialising such a file can run code that it names or holds. So its description is read first, with h5py and zipfile
alone, and whatever is not a layer, quantiser or helper known here is refused by name before Keras sees the file.
"""

import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from codesign.errors import ConfigError
from codesign.study import Study
from codesign.train.containers import SAVE, description_of_hdf5, description_of_zip
from codesign.train.supported import FUNCTIONS, LAYERS, unsupported

_MODELS = ("Functional", "Sequential", "Model")
_QUANTISERS = (
    *("quantized_bits", "quantized_relu", "quantized_tanh", "quantized_sigmoid", "quantized_ulaw", "quantized_po2"),
    *("quantized_relu_po2", "quantized_linear", "quantized_hswish", "bernoulli", "binary", "stochastic_binary"),
    *("ternary", "stochastic_ternary", "ternary_tanh", "binary_tanh"),
)
# Functions of Keras's own, whether or not they can be carried over.
_ACTIVATIONS = (
    *FUNCTIONS,
    *("linear", "exponential", "gelu", "leaky_relu", "log_softmax", "mish", "relu6", "silu", "swish"),
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

_CHILD = "import sys; from codesign.train.files import check_and_exit; check_and_exit(*sys.argv[1:])"
_REFUSED = 3


def load(study: Study, custom_objects: dict[str, Any]) -> Any:
    """The study's Keras model, uncompiled. Raises ConfigError, one line, for a file that cannot or must not be loaded.

    `custom_objects` are classes and functions by name; they are looked at only with `allow_custom_code`.
    """
    path, source = study.model_path, study.model_source
    assert path is not None and source is not None
    allowed = study.model.allow_custom_code
    _check_apart(path, source, allowed)
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


def _check_apart(path: Path, source: bytes, allowed: bool) -> None:
    """`check_file` in another process: the HDF5 library crashes on some damaged files."""
    command = [sys.executable, "-c", _CHILD, str(path), str(int(allowed))]
    done = subprocess.run(command, input=source, capture_output=True, check=False)
    if done.returncode == _REFUSED:
        raise ConfigError(done.stdout.decode())
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())[-200:]
        raise ConfigError(f"{path} is damaged: reading it ends with {done.returncode}{said and f' ({said})'}")


def check_and_exit(path: str, allowed: str) -> None:
    """What that process does: the file comes on standard input, a refusal goes to standard output."""
    try:
        check_file(Path(path), sys.stdin.buffer.read(), allow_custom_code=allowed == "1")
    except ConfigError as error:
        sys.stdout.write(str(error))
        sys.exit(_REFUSED)


def check_file(path: Path, source: bytes, *, allow_custom_code: bool = False) -> None:
    """Raise ConfigError unless these bytes are what the path's name says, of bounded size and free of code."""
    try:
        config = description_of_zip(path, source) if path.suffix == ".keras" else description_of_hdf5(path, source)
        if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
            raise ConfigError(f"{path}: its description is no model's; {SAVE}")
        if not allow_custom_code:
            _check_classes(path, config)
    except RecursionError:
        raise ConfigError(f"{path}: its description is nested too deeply") from None


# ---------------------------------------------------------------- what the description names


def _check_classes(path: Path, model: dict[str, Any]) -> None:
    """Refuse whatever could run code of the file's choosing, or is no layer that can be carried over."""
    kind, layers = str(model.get("class_name")), model["config"].get("layers")
    if kind not in _MODELS:
        raise _custom(path, f"the model is a {kind[:60]!r}")
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise ConfigError(f"{path}: its description lists no layers; {SAVE}")
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
        if not call or call["name"] not in (*_QUANTISERS, *_ACTIVATIONS):
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
        known = kind in (*_QUANTISERS, *_ACTIVATIONS)
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
