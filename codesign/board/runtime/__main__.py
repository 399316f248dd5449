"""`python -m codesign_runtime FOLDER check|predict|self-test`: one JSON document, or lines for people.

Exit code 0: right; 1: the board differs from the C-simulation; 2: it could not be done, and why, in one line.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .accelerator import TIMEOUT_S, Accelerator
from .check import check, self_test
from .errors import AcceleratorError, InputError
from .package import read_check
from .replay import read_trials, replay, to_text


def main(arguments: list[str] | None = None) -> int:
    """Run a command; gives the exit code."""
    options = _parser().parse_args(arguments)
    try:
        with Accelerator.load(options.folder, options.timeout) as accelerator:
            right, answer = _COMMANDS[options.command](accelerator, options)
    except AcceleratorError as error:
        if options.json:
            print(json.dumps({"error": str(error)}))  # noqa: T201
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        return 130
    shown = json.dumps(answer) if options.json else "\n".join(f"{key}: {value}" for key, value in answer.items())
    print(shown)  # noqa: T201
    return 0 if right else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m codesign_runtime", description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="the package's folder")
    parser.add_argument("command", choices=sorted(_COMMANDS))
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--samples", type=int, help="check, self-test: so many of the package's samples [default: all]")
    parser.add_argument("--inputs", help="predict, replay: an NPZ file with the array 'inputs', real or raw integers")
    parser.add_argument("--out", help="predict: an NPZ file to write")
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_S, help="seconds that a transfer may take [%(default)s]"
    )
    return parser


def _check(accelerator: Accelerator, options: argparse.Namespace) -> tuple[bool, dict[str, Any]]:
    report = check(accelerator, options.samples)
    return report["passed"], report


def _self_test(accelerator: Accelerator, options: argparse.Namespace) -> tuple[bool, dict[str, Any]]:
    known = read_check(accelerator.package)
    report = self_test(accelerator, known.inputs[: options.samples], known)
    return report["passed"], report


def _predict(accelerator: Accelerator, options: argparse.Namespace) -> tuple[bool, dict[str, Any]]:
    """Raw integers are taken as they are, real numbers are quantised."""
    if not options.inputs:
        raise InputError("predict needs --inputs FILE.npz, with the array 'inputs'")
    given = read_inputs(options.inputs)
    raw = given if given.dtype.kind in "iu" else accelerator.quantise(given)
    logits = accelerator.predict_raw(raw)
    flags = accelerator.flags()
    answer: dict[str, Any] = {"samples": len(logits), "flags": flags._asdict(), "counters": accelerator.counters()}
    if options.out:
        np.savez_compressed(options.out, logits=logits)
        answer["out"] = options.out
    else:
        answer["logits"] = logits.tolist()
    return True, answer


def _replay(accelerator: Accelerator, options: argparse.Namespace) -> tuple[bool, dict[str, Any]]:
    if not options.inputs:
        raise InputError("replay needs --inputs FILE.npz, which `codesign campaign --simulator board` writes")
    inputs, settings = read_trials(options.inputs, accelerator.model)
    found = replay(accelerator, inputs, settings)
    return True, {"trials": len(found.logits), "samples": len(inputs), "npz": to_text(found)}


def read_inputs(path: str) -> Any:
    """The array 'inputs' of an NPZ file. Raises InputError."""
    try:
        with np.load(str(Path(path)), allow_pickle=False) as data:
            return data["inputs"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"{path} is no NPZ file with the array 'inputs': {error}") from None


_COMMANDS = {"check": _check, "predict": _predict, "replay": _replay, "self-test": _self_test}

if __name__ == "__main__":
    sys.exit(main())
