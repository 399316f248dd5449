"""What an installation weighs, and how long its commands take to begin.

Times are processor time of fresh processes, in turns, in one run; ratios are those of neighbours, medians. Sizes are
those of the files that the installed packages list, each counted where it is needed first: the package itself, what it
depends on, and what each extra adds to that.
"""

import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from timing import machine, parser_of, processor_seconds, significant, table

from codesign.extras import EXTRAS

ROOT = Path(__file__).resolve().parent.parent
MIB = 2**20
_MAIN = "from codesign.__main__ import main; main()"
_PEER = "import numpy"
# Name, what Python runs, arguments.
PROCESSES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Python itself", "pass", ()),
    (_PEER, _PEER, ()),
    ("import codesign", "import codesign", ()),
    ("codesign --help", _MAIN, ("--help",)),
    *((f"codesign {name} --help", _MAIN, (name, "--help")) for name in ("train", "campaign", "optimize", "resources")),
    ("completion of an option", _MAIN, ()),
    ("codesign doctor", _MAIN, ("doctor",)),
    ("the library's face: run_campaign", "import codesign; codesign.run_campaign", ()),
    ("import tensorflow", "import tensorflow", ()),
)
_COMPLETING = {"_CODESIGN_COMPLETE": "complete_bash", "COMP_WORDS": "codesign export r --board zc", "COMP_CWORD": "4"}


def processor_time(code: str, arguments: tuple[str, ...], environment: dict[str, str]) -> float:
    """Of one process, seconds."""
    before = processor_seconds()
    command = [sys.executable, "-c", code, *arguments]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment}, cwd=ROOT)
    return processor_seconds() - before


def times(repetitions: int) -> list[dict[str, Any]]:
    """One row a process: seconds, and the ratio to `import numpy` of the same turn."""
    found: dict[str, list[float]] = {name: [] for name, *_ in PROCESSES}
    for _ in range(repetitions + 1):  # the first turn fills the caches of files
        for name, code, arguments in PROCESSES:
            found[name].append(processor_time(code, arguments, _COMPLETING if "completion" in name else {}))
    measured = {name: seconds[1:] for name, seconds in found.items()}
    return [
        {
            "name": name,
            "seconds": statistics.median(seconds),
            "ratio": statistics.median(a / b for a, b in zip(seconds, measured[_PEER], strict=True)),
        }
        for name, seconds in measured.items()
    ]


def wheel_bytes() -> tuple[int, int]:
    """Of the wheel, and of what it installs."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "wheel", "--no-build-isolation"]
        command = [*pip, "--no-deps", "--no-index", "--wheel-dir", folder, str(ROOT)]
        subprocess.run(command, check=True, capture_output=True)
        [wheel] = Path(folder).glob("*.whl")
        return wheel.stat().st_size, sum(entry.file_size for entry in zipfile.ZipFile(wheel).infolist())


def needed(requirements: Iterable[str]) -> dict[str, int]:
    """Installed bytes of every package that these requirements bring, by name."""
    found: dict[str, int] = {}
    waiting = [(text, frozenset[str]()) for text in requirements]
    met: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        text, asked = waiting.pop()
        requirement = Requirement(text)
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in (asked or {""})):
            continue
        name, wanted = str(canonicalize_name(requirement.name)), frozenset(requirement.extras)
        if (name, wanted) in met:
            continue
        met.add((name, wanted))
        installed = importlib.metadata.distribution(name)
        files = [Path(str(installed.locate_file(file))) for file in installed.files or ()]
        found[name] = sum(file.stat().st_size for file in files if file.is_file())
        waiting += [(more, wanted) for more in installed.requires or ()]
    return found


def sizes() -> list[dict[str, Any]]:
    """One row for the package, for what it depends on, and for what each extra adds."""
    packed, unpacked = wheel_bytes()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = needed(project["dependencies"])
    rows = [
        {"name": "the wheel", "packages": 1, "bytes": packed},
        {"name": "the wheel, installed", "packages": 1, "bytes": unpacked},
        {"name": "what it depends on", "packages": len(base), "bytes": sum(base.values())},
    ]
    for extra in EXTRAS:
        brought = needed(project["optional-dependencies"][extra])
        more = {name: size for name, size in brought.items() if name not in base}
        rows.append({"name": f"extra `{extra}`", "packages": len(more), "bytes": sum(more.values())})
    return rows


def as_text(found: dict[str, Any]) -> str:
    """Two Markdown tables."""
    begin = [["begins", "processor time, s", "of `import numpy`"]]
    begin += [[row["name"], f"{row['seconds']:.2f}", f"{row['ratio']:.2f}"] for row in found["times"]]
    weighs = [["installed", "packages", "MiB"]]
    weighs += [[row["name"], str(row["packages"]), significant(row["bytes"] / MIB)] for row in found["sizes"]]
    return f"{table(begin)}\n\n{table(weighs)}"


def main() -> None:
    """Measure and print."""
    options = parser_of(__doc__, "one turn").parse_args()
    found = {"machine": machine(), "times": times(1 if options.quick else 7), "sizes": sizes()}
    print(json.dumps(found, indent=1) if options.json else as_text(found))


if __name__ == "__main__":
    main()
