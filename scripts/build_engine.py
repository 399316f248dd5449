#!/usr/bin/env python3
"""Build the compiled engine (codesign/engine/native) into the shared library that codesign/engine/binding.py loads.

Run by pip through hatchling, for wheels and editable installs alike; from the command line it makes other builds, such
as the ones with sanitizers that the tests run. Needs a C++17 compiler and nothing else: the library has a plain C
interface and knows nothing of Python.
"""

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ENGINE = Path(__file__).resolve().parent.parent / "codesign" / "engine"
LIBRARY = ENGINE / "libcodesign_engine.so"

# What is shipped runs on every machine of the architecture: only the files below may use more, and the program asks
# the processor before it calls them. No -ffast-math, no contraction: a drawn fault must not depend on the machine.
_FLAGS = ("-std=c++17", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-fPIC", "-pthread")
# The library calls its own copies of the standard library's templates, not those of whatever else is loaded.
_LINKED = ("-shared", "-Wl,-Bsymbolic")
_AVX2 = ("-mavx2", "-mbmi", "-mbmi2", "-mlzcnt", "-mpopcnt")
_AVX512 = ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mprefer-vector-width=512")
_OF_FILE = {
    "kernels_avx2": _AVX2,
    "kernels_avx512": (*_AVX2, *_AVX512),
    "kernels_avx512_conv": (*_AVX2, *_AVX512),
    "lanes_avx2": _AVX2,
    "lanes_avx512": (*_AVX2, *_AVX512),
}
_SANITIZED = ("-std=c++17", "-O1", "-g", "-ffp-contract=off", "-fPIC", "-pthread", "-fno-omit-frame-pointer")


class BuildError(Exception):
    """A source does not compile, or there is nothing to compile it with."""


def compiler() -> str | None:
    """$CXX, g++ or clang++, whichever is there first."""
    return next(filter(None, map(shutil.which, filter(None, [os.environ.get("CXX"), "g++", "clang++"]))), None)


def build(output: Path = LIBRARY, sanitizers: str = "") -> None:
    """Compile and link, unless `output` was made of the same. Raises BuildError with the compiler's first error."""
    command = compiler()
    if command is None:
        raise BuildError("no C++ compiler found: install g++ (Debian: apt-get install g++) or set CXX")
    # The linker keeps the first copy of an inline function: let it be the one that every machine can run.
    sources = sorted((ENGINE / "native").glob("*.cpp"), key=lambda source: (len(_of_file(source)), source.name))
    general = (*_SANITIZED, f"-fsanitize={sanitizers}") if sanitizers else _FLAGS
    flags = {source: [*general, *_of_file(source)] for source in sources}
    stamp, wanted = output.with_suffix(".made-from"), _digest(command, flags)
    if output.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="codesign-engine-") as folder:
        objects = {source: Path(folder) / f"{source.stem}.o" for source in sources}
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            jobs = [[command, *flags[s], "-c", str(s), "-o", str(o)] for s, o in objects.items()]
            list(pool.map(_run, jobs))
        made = Path(folder) / output.name
        linked = ("-shared",) if sanitizers else _LINKED
        _run([command, *general, *linked, *map(str, objects.values()), "-o", str(made)])
        # Renamed into place: a running program keeps the library that it has loaded.
        staged = output.with_suffix(".new")
        shutil.copy2(made, staged)
        staged.replace(output)
    stamp.write_text(wanted)


def _of_file(source: Path) -> tuple[str, ...]:
    return _OF_FILE.get(source.stem, ()) if platform.machine() in ("x86_64", "AMD64") else ()


def _digest(command: str, flags: dict[Path, list[str]]) -> str:
    """Of all that decides the result."""
    version = subprocess.run([command, "--version"], capture_output=True, check=False).stdout
    found = hashlib.sha256(repr([command, version, _LINKED, sorted((s.name, f) for s, f in flags.items())]).encode())
    for file in sorted((ENGINE / "native").iterdir()):
        if file.suffix in (".cpp", ".h"):
            found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line]
        raise BuildError(f"{' '.join(command)}\n{errors[0] if errors else done.stderr.strip()}")


class EngineHook(BuildHookInterface[Any]):
    """Puts the library into the source tree, where an editable install finds it, and from there into wheels."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 (hatchling's signature)
        """Without a compiler the package is installed without the library; `codesign doctor` says what that costs."""
        if compiler() is None:
            LIBRARY.unlink(missing_ok=True)
            self.app.display_warning(
                "no C++ compiler found (g++, clang++ or $CXX): codesign is installed without its compiled engine and "
                "will simulate faults in NumPy, some hundred times slower"
            )
            return
        build()
        build_data["artifacts"].append(str(LIBRARY.relative_to(ENGINE.parent.parent)))
        # The library needs this kind of machine, but no certain Python.
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def main() -> int:
    """Build as the command line says; 1 and the compiler's error where that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=LIBRARY, help="the library to write (default: in the package)")
    parser.add_argument("--sanitize", default="", metavar="LIST", help="such as address,undefined or thread")
    options = parser.parse_args()
    try:
        build(options.output, options.sanitize)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
