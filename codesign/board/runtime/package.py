"""The package on the board: every file checked against its checksum, and what the design is."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .errors import PackageError
from .lanes import Lanes, check_width

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 1
MANIFEST, MODEL, CHECK = "package.json", "model.json", "check.npz"
# What the accelerator's port has in any case.
_NEEDED = ("guard", "clear", "status_corrected", "status_detected", "id_network", "id_plan", "samples", "bad_frames")
_KEYS = ("network_name", "network", "plan", "stream", "registers", "upset_slots", "layers")
_DIGEST = re.compile("[0-9a-f]{64}")


class Register(NamedTuple):
    """A word on AXI-lite: byte offset, bits, and whether the host writes it."""

    offset: int
    bits: int
    written_by_host: bool


class Model(NamedTuple):
    """What model.json says; `network` and `plan` are digests, `layers` those that compute, by their flag bits."""

    network_name: str
    network: str
    plan: str
    layers: list[str]
    registers: dict[str, Register]
    input: Lanes
    output: Lanes
    upset_slots: int

    @property
    def top(self) -> str:
        """The accelerator's name in the block design."""
        return f"{self.network_name}_axi"

    @property
    def ids(self) -> dict[str, int]:
        """The constants by which a bitstream tells what it is."""
        return {"id_network": int(self.network[:8], 16), "id_plan": int(self.plan[:8], 16)}


class Package(NamedTuple):
    """A folder whose files are what was packed."""

    folder: Path
    board: str
    model: Model

    @property
    def bitstream(self) -> Path:
        return self.folder / "design.bit"


def open_package(folder: Any) -> Package:
    """The package in a folder. Raises PackageError naming the file that is absent, strange or not what was packed."""
    where = Path(folder).resolve()
    if not (where / MANIFEST).is_file():
        raise PackageError(f"{where} is no package: it has no {MANIFEST}")
    manifest = _manifest(where)
    for name, digest in sorted(manifest["files"].items()):
        _check_file(where, name, digest)
    model = read_model(where / MODEL)
    for key, value in (("network", model.network), ("plan", model.plan), ("network_name", model.network_name)):
        if manifest.get(key) != value:
            raise PackageError(f"{where}: {MODEL} is of another {key} than {MANIFEST}: build the package again")
    return Package(where, manifest["board"], model)


def _manifest(where: Path) -> dict[str, Any]:
    manifest = _json(where / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise PackageError(
            f"{where} is of format {manifest.get('format')!r}, this runtime reads {FORMAT}: build it again"
        )
    files = manifest.get("files")
    if not isinstance(files, dict) or not isinstance(manifest.get("board"), str):
        raise PackageError(f"{where / MANIFEST} lacks 'files' or 'board': build the package again")
    for name in (MODEL, CHECK):
        if name not in files:
            raise PackageError(f"{where} has no {name}: build the package again")
    for name in ("design.bit", "design.hwh"):
        if name not in files:
            raise PackageError(f"{where} has no {name}: this runtime drives Zynq boards, and no cards (design.xclbin)")
    return manifest


def _check_file(folder: Path, name: Any, digest: Any) -> None:
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts or not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise PackageError(f"{folder / MANIFEST} names {name!r}, which cannot be a file of the package")
    path = folder / name
    if not path.is_file() or path.is_symlink():
        raise PackageError(f"{folder}: {name} is missing: copy the package again")
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            hashed.update(block)
    if hashed.hexdigest() != digest:
        raise PackageError(f"{folder}: {name} is not what was packed, its checksum differs: copy the package again")


def read_model(path: Path) -> Model:
    """The design, from model.json. Raises PackageError saying what is wrong with it."""
    given = _json(path)
    if missing := [key for key in _KEYS if key not in given]:
        raise PackageError(f"{path} has no {missing[0]}: build the package again")
    digests = [given["network"], given["plan"]]
    if not all(isinstance(digest, str) and _DIGEST.fullmatch(digest) for digest in digests):
        raise PackageError(f"{path}: 'network' and 'plan' are digests of 64 digits, got {digests}")
    layers, slots = given["layers"], given["upset_slots"]
    if (
        not isinstance(layers, list)
        or not all(isinstance(layer, str) for layer in layers)
        or not 1 <= len(layers) <= 32
    ):
        raise PackageError(f"{path}: 'layers' is no list of 1 to 32 names")
    if not isinstance(slots, int) or isinstance(slots, bool) or slots < 0:
        raise PackageError(f"{path}: 'upset_slots' is {slots!r}, expected a number")
    stream = given["stream"] if isinstance(given["stream"], dict) else {}
    bits = check_width(f"{path}: stream.bits", stream.get("bits"))
    lanes = [Lanes.of(f"{path}: stream.{side}", stream.get(side), bits) for side in ("input", "output")]
    registers = _registers(path, given["registers"], layers, slots)
    return Model(str(given["network_name"]), digests[0], digests[1], layers, registers, lanes[0], lanes[1], slots)


def _registers(path: Path, given: Any, layers: list[str], slots: int) -> dict[str, Register]:
    found = {}
    try:
        for row in given:
            register = Register(int(row["offset"]), int(row["bits"]), row["access"] == "read-write")
            if register.offset < 0 or register.offset % 4 or not 1 <= register.bits <= 32:
                raise ValueError(f"{row['name']} at {register.offset:#x}")
            found[str(row["name"])] = register
    except (TypeError, KeyError, ValueError) as error:
        raise PackageError(f"{path}: 'registers' are not as codesign writes them ({error})") from None
    slot_names = [f"upset{slot}_{part}" for slot in range(slots) for part in ("layer", "word", "mask")]
    for name in [*_NEEDED, *(f"events_{layer}" for layer in layers), *slot_names]:
        if name not in found:
            raise PackageError(f"{path}: no register {name!r}: the design was not exported for a board by this version")
    return found


class Check(NamedTuple):
    """Samples that travel with the package and what the C-simulation gives for them; None where it is not there.

    `inputs` (n, n_in), `logits` (n, n_out) and flags of each sample (n,); `guard_logits` (3, n, n_out) and
    `guard_corrected`, `guard_detected` (3, layers) with one guard bit raised.
    """

    inputs: NDArray[np.int64]
    logits: NDArray[np.int64]
    corrected: NDArray[np.bool_]
    detected: NDArray[np.bool_]
    labels: NDArray[np.int64] | None
    guard_logits: NDArray[np.int64] | None
    guard_corrected: NDArray[np.bool_] | None
    guard_detected: NDArray[np.bool_] | None


def read_check(package: Package) -> Check:
    """The package's samples. Raises PackageError."""
    path = package.folder / CHECK
    try:
        with np.load(str(path), allow_pickle=False) as data:
            arrays: dict[str, Any] = {name: data[name] if name in data.files else None for name in Check._fields}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise PackageError(f"{path} cannot be read: {error}") from None
    model, n = package.model, 0 if arrays["inputs"] is None else len(arrays["inputs"])
    shapes = ((n, model.input.values), (n, model.output.values), (n,), (n,))
    for name, shape in zip(Check._fields, shapes):
        if arrays[name] is None or arrays[name].shape != shape:
            raise PackageError(f"{path}: {name} has not the shape {shape}: build the package again")
    if not n:
        raise PackageError(f"{path} holds no samples: build the package again")
    return Check(**arrays)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PackageError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise PackageError(f"{path} is no JSON object")
    return found
