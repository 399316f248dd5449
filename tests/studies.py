"""A study that runs in seconds: its networks are made by hand and stand in the training cache.

So the whole command line can be tested without TensorFlow. The data is labelled by a small integer
teacher; the wide network is that teacher, the narrow one has its weights cut short.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import codesign.train.training as training
from codesign.fixed import FixedPoint, Ints
from codesign.network import Layer, Network, Parameter
from codesign.study import Study, load_study
from codesign.train.builder import Quantisation, data

# The command, however the package was installed.
COMMAND = (sys.executable, "-c", "from codesign.cli import main; main()")

SIZES = (6, 5, 3)
WIDTHS = (4, 6)
INPUT = FixedPoint.parse("ufixed<5,1>")
EVALUATIONS = 12

TOML = f"""
name = "tiny"
seed = 5
[model]
builder = "tiny.py"
[train]
epochs = 1
batch_size = 16
learning_rate = 1e-2
[hardware]
board = "zcu102"
[faults]
targets = ["accumulator"]
ber = 1e-3
trials = 50
curve = [1e-4, 1e-3]
[requirements]
accuracy_clean = 0.9
accuracy_faulty = 0.9
latency_cycles = 50
[space]
weight_bits = {list(WIDTHS)}
important_fraction = {{ low = 0.0, high = 1.0 }}
hardened_bits_important = {{ low = 0, high = 16 }}
hardened_bits_normal = {{ low = 0, high = 16 }}
[search]
evaluations = {EVALUATIONS}
initial = 5
"""

BUILDER = """
import numpy as np

INPUT_TYPE = "ufixed<5,1>"


def load_data(options):
    inputs = np.random.default_rng(1).integers(0, 17, (300, 6))
    hidden = np.maximum(inputs @ np.array({first}) + np.array({first_bias}), 0)
    labels = (hidden @ np.array({second})).argmax(axis=1)
    return inputs[:180] / 16, labels[:180], inputs[180:] / 16, labels[180:]


def build_model(quantisation, options):
    raise RuntimeError("these tests do not train")
"""


def _teacher() -> tuple[Ints, Ints, Ints]:
    generator = np.random.default_rng(11)
    first = generator.integers(-31, 32, SIZES[:2])
    return first, -8 * first.sum(axis=0), generator.integers(-31, 32, SIZES[1:])


def tiny_network(name: str, weight_bits: int) -> Network:
    """The teacher with its weights cut to the width; 6 bits hold it exactly. Fractions follow hls4ml's."""
    first, first_bias, second = _teacher()
    cut = WIDTHS[-1] - weight_bits
    weight = FixedPoint(weight_bits, 1)
    accumulators = FixedPoint(weight_bits + 9, 6), FixedPoint(weight_bits + 17, 10)
    layers = (
        Layer.dense(
            "first",
            Parameter(first >> cut, weight),
            Parameter(first_bias >> cut, FixedPoint(weight_bits + 8, 5)),
            accumulators[0],
        ),
        Layer.relu("relu", SIZES[1], FixedPoint.parse(f"ufixed<{weight_bits + 8},5,RND_CONV,SAT>")),
        Layer.dense(
            "logits", Parameter(second >> cut, weight), Parameter(np.zeros(SIZES[2], int), weight), accumulators[1]
        ),
    )
    return Network(name, INPUT, layers)


def write_study(folder: Path, *changes: tuple[str, str], kept: bool = True) -> Path:
    """Write study and builder with pieces of the study's text replaced; its networks go into the cache."""
    folder.mkdir(parents=True, exist_ok=True)
    text = TOML
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    first, first_bias, second = (part.tolist() for part in _teacher())
    (folder / "tiny.py").write_text(BUILDER.format(first=first, first_bias=first_bias, second=second))
    path = folder / "tiny.toml"
    path.write_text(text)
    if kept:
        keep_networks(load_study(path))
    return path


def keep_networks(study: Study, *, check: bool = True) -> None:
    """Fill the training cache, as training would; without `check` for data that the networks cannot take."""
    samples = data(study)
    for bits in WIDTHS:
        network = tiny_network(study.name, bits)
        stem = training.cache_folder() / "networks" / training.network_key(study, Quantisation(bits, bits), samples)
        network.save(stem.with_suffix(".npz"))
        facts = {
            "network": network.digest,
            "accuracy_clean": training.accuracy(network, samples) if check else 0.0,
            "seconds": 0.0,
        }
        stem.with_suffix(".json").write_text(json.dumps(facts))


def codesign(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start the command; standard error comes line by line. It leads a process group, as in a terminal."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def refusal(stderr: str) -> str:
    """The one line that an expected error is."""
    assert re.fullmatch(r"codesign: [^\n]+\n", stderr), stderr
    return stderr.removeprefix("codesign: ").strip()


def without_seconds(document: Any) -> Any:
    """A result without its times, at every depth."""
    if isinstance(document, dict):
        return {key: without_seconds(value) for key, value in document.items() if not key.startswith("seconds")}
    return [without_seconds(item) for item in document] if isinstance(document, list) else document


# ---------------------------------------------------------------- processes


def until(happened: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What it gives as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def ended(pid: int) -> bool:
    """A process that nobody waits for is one of the dead, too."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
