"""Rates of things that are measured against each other: in turns, in one run, on one thread.

Time is the processor time of this process, so that other work on the machine has little influence; on an idle machine
it is the time of day.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import process_time
from typing import Any

# Libraries read these when they are loaded.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_INSTRUCTIONS = ("sse4_2", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "asimd", "asimddp")

# Does so much of its work: so many trials, rounds, samples.
Work = Callable[[int], Any]
Clock = Callable[[], float]


def parser_of(about: str | None, quick: str) -> argparse.ArgumentParser:
    """The options that every benchmark has; `quick` says what a quick run leaves out."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--quick", action="store_true", help=f"{quick}: a look, not a result")
    return parser


def on_one_thread() -> None:
    """Start this script again where a library might use more threads than one."""
    if any(os.environ.get(name) != value for name, value in _ONE_THREAD.items()):
        environment = {**os.environ, **_ONE_THREAD}
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def rates(
    contestants: Mapping[str, Work], repetitions: int, seconds: float, clock: Clock = process_time
) -> dict[str, list[float]]:
    """Work a second of each contestant, one number a repetition of about so many seconds; they take turns."""
    amounts = {name: _amount(work, seconds, clock) for name, work in contestants.items()}
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repetitions):
        for name, work in contestants.items():
            found[name].append(amounts[name] / _timed(work, amounts[name], clock))
    return found


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """Median over repetitions, each pair measured one after the other."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _amount(work: Work, seconds: float, clock: Clock) -> int:
    work(1)  # compiles, imports, fills caches
    amount = 1
    while (took := _timed(work, amount, clock)) < seconds / 4:
        amount = max(2 * amount, int(amount * seconds / 4 / took))
    return max(1, round(amount * seconds / took))


def _timed(work: Work, amount: int, clock: Clock) -> float:
    start = clock()
    work(amount)
    return clock() - start


def processor_seconds() -> float:
    """Processor time so far, of this process and of those that it started and that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def machine() -> dict[str, Any]:
    """What the rates depend on, without names of hosts or users."""
    return {
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "instruction_sets": [name for name in _INSTRUCTIONS if name in _flags()],
        "compiler": _compiler(),
        "python": platform.python_version(),
        "numpy": sys.modules["numpy"].__version__ if "numpy" in sys.modules else None,
    }


def _flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {word for line in lines if line.startswith(("flags", "Features")) for word in line.split()}


def _compiler() -> str | None:
    try:
        done = subprocess.run([os.environ.get("CXX", "g++"), "-dumpfullversion"], capture_output=True, text=True)
    except OSError:
        return None
    return f"{Path(os.environ.get('CXX', 'g++')).name} {done.stdout.strip()}"


# ---------------------------------------------------------------- text


def significant(number: float | None) -> str:
    """Three significant digits, with separators; a dash for what was not measured."""
    if number is None:
        return "-"
    digits = 2 if abs(number) < 10 else 1 if abs(number) < 100 else 0
    return f"{float(f'{number:.3g}'):,.{digits}f}"


def table(rows: list[list[str]]) -> str:
    """Markdown, the first row the heading, numbers to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [[row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))] for row in rows]
    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], rule, *lines[1:]])
