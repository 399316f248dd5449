"""Run the benchmarks and write docs/benchmarks.md: `make bench`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import csim
import engine
import growth
import store
from timing import significant

FOLDER = Path(__file__).resolve().parent
REPORT = FOLDER.parent / "docs" / "benchmarks.md"

_TEXT = """# Benchmarks

Written by `make bench`, not by hand. Ratios travel between machines, absolute numbers do not.

Machine: {machine}.

## Fault injection (`benchmarks/engine.py`)

One thread; engine and NumPy injector in turns, in one run, through the Python API; medians of {repetitions} repetitions
of processor time. A trial is a drawn fault list, simulated on all 360 digits of the evaluation set, with its right
answers and changed top classes counted. MLP: {mlp} with 8-bit weights and activations; CNN:
{cnn}.

{engine_table}

- *Engine*: {engine_name}.
- *NumPy*: an exact injector as one writes it by hand (`benchmarks/peer.py`): BLAS on integers in float32, the
  fault-free run kept, the struck samples from the struck layer on, vectorised draws. It is compared with the reference
  simulator, integer for integer, before anything is measured; so is the engine.
- *Last accumulator*: the sum after a neuron's last addition (in codesign's terms the output of its voter).
  *Every adder output*: all additions of all neurons.
- *Share of int8 peak*: the multiply-adds of one full evaluation ({mlp_adds} M for the MLP, {cnn_adds} M for the CNN) a
  trial, done or spared, over the core's measured peak of {peak} G int8 multiply-adds a second ({instructions}). It can
  exceed 100 %: what a fault does not change is not computed.
- *csim*: fault-free evaluations of the same set by the unprotected project's C-simulation; *x csim* is the engine's
  lead.
- Every weight bit in turn, {exhaustive_trials} trials, takes the engine {exhaustive_s} s.

## Growth (`benchmarks/growth.py`)

One flip of a weight a trial, on {growth_images} with a CNN of two 3x3 convolutions, one thread, by the clock. The
memory is what the engine takes beside the inputs; in the last column, for each sample.

{growth_table}

Trials and samples count in proportion. Opening is the fault-free run, once.

## C-simulation (`benchmarks/csim.py`)

The digits CNN of `models/`, 8 bits, project for Vivado, io_parallel; against hls4ml's own project of the same model.
Compiling includes writing the project. Simulating is fault-free, on 360 digits; hls4ml's top function is called by a
loop in C, its weights read beforehand.

{csim_table}

## Store (`benchmarks/store.py`)

One campaign's trials in one store, by the clock: the disk is part of it. The counts are drawn evenly and hardly
compress; those of a real campaign take less room.

{store_table}
"""


def measured(script: str) -> dict[str, Any]:
    """What a benchmark prints."""
    done = subprocess.run([sys.executable, str(FOLDER / script), "--json"], stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def page(
    of_engine: dict[str, Any], of_growth: dict[str, Any], of_csim: dict[str, Any], of_store: dict[str, Any]
) -> str:
    """The report of all four."""
    cases, machine = of_engine["cases"], of_engine["machine"]
    exhaustive = next(case for case in cases if "seconds" in case)
    adds = {case["name"].split(",")[0]: case["multiply_adds_per_trial"] / 1e6 for case in cases}
    return _TEXT.format(
        machine=f"{machine['architecture']} with {', '.join(machine['instruction_sets'])}; {machine['cores']} cores; "
        f"{machine['compiler']}, Python {machine['python']}, NumPy {machine['numpy']}",
        repetitions=engine.FULL[0],
        mlp="64-64-32-32-10",
        cnn="two 3x3 convolutions with pooling, and a dense layer",
        engine_table=engine.as_text(of_engine),
        engine_name=cases[0]["engine"],
        mlp_adds=significant(adds["MLP"]),
        cnn_adds=significant(adds["CNN"]),
        peak=significant(cases[0]["peak_multiply_adds_per_s"] / 1e9),
        instructions=machine["peak_instructions"],
        exhaustive_trials=f"{exhaustive['trials']:,}",
        exhaustive_s=significant(exhaustive["seconds"]),
        growth_images="Fashion-MNIST's test images" if growth.IMAGES.exists() else "noise of 28x28 pixels",
        growth_table=growth.as_text(of_growth["rows"]),
        csim_table=csim.as_text(of_csim),
        store_table=store.as_text(of_store),
    )


def main() -> None:
    """Measure and write the page."""
    REPORT.write_text(page(measured("engine.py"), measured("growth.py"), measured("csim.py"), measured("store.py")))
    print(f"wrote {REPORT.relative_to(FOLDER.parent)}")


if __name__ == "__main__":
    main()
