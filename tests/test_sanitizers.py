"""The compiled engine, built with sanitizers: no bad access, no undefined behaviour, no leak, no race."""

import os
import subprocess
import sys
from pathlib import Path

import build_engine
import pytest

from codesign.engine.binding import VARIABLE

pytestmark = [pytest.mark.slow, pytest.mark.cxx]

TESTS = Path(__file__).parent
PRINTED = 6000
# The sanitizer has a malloc of its own, which counts nothing; and what takes Python longest calls little C++.
NOT_HERE = ["-k", "not memory and not as_likely_as and not are_independent"]


def runtime(name: str) -> Path:
    """A sanitizer's library, which has to be in the process before Python is."""
    command = build_engine.compiler()
    if command is None:
        pytest.skip("no C++ compiler: install g++ (Debian: apt-get install g++) or set CXX")
    asked = [command, f"-print-file-name=lib{name}.so"]
    found = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    if not found.is_absolute():
        pytest.skip(f"{command} has no lib{name}.so: install g++ with its sanitizers (Debian: apt-get install g++)")
    return found.resolve()


def run(folder: Path, sanitizers: str, runtimes: list[str], arguments: list[str]) -> tuple[str, list[str]]:
    """What a Python with the sanitized engine prints, and what the sanitizers find."""
    preloaded = ":".join(str(runtime(name)) for name in runtimes)
    library, log = folder / "engine.so", folder / "report"
    build_engine.build(library, sanitizers)
    # Python's own leaks, which it always has, must not decide the exit code: the reports tell.
    options = f"log_path={log}:exitcode=0"
    environment = {
        **os.environ,
        "LD_PRELOAD": preloaded,
        "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]),
        VARIABLE: str(library),
        "ASAN_OPTIONS": f"{options}:detect_leaks=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",  # beside the address sanitizer it writes to stderr only
        "TSAN_OPTIONS": options,
    }
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=TESTS.parent)
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("the thread sanitizer needs fewer random bits in addresses: sysctl vm.mmap_rnd_bits=28")
    found = [done.stderr[-PRINTED:]] if "runtime error:" in done.stderr else []
    for report in sorted(folder.glob(f"{log.name}.*")):
        found += of_the_engine(report.read_text(), library.name)
    assert found or not done.returncode, done.stdout[-PRINTED:] + done.stderr[-PRINTED:]
    return done.stdout, found


def of_the_engine(report: str, library: str) -> list[str]:
    """All that is reported, but leaks that do not come out of the library."""
    if "LeakSanitizer has encountered a fatal error" in report:
        pytest.skip("the leak sanitizer may not trace this process: allow ptrace (docker: --cap-add SYS_PTRACE)")
    if "LeakSanitizer: detected memory leaks" not in report:
        return [report[:PRINTED]]
    return [leak[:PRINTED] for leak in report.split("\n\n") if f"/{library}" in leak or "codesign::engine" in leak]


def test_no_bad_access_no_undefined_behaviour_no_leak(tmp_path: Path) -> None:
    """All quick tests of the engine; nothing is captured, so that what kills the process is seen."""
    files = [*sorted(str(file) for file in TESTS.glob("test_native*.py")), str(TESTS / "test_circuit.py")]
    arguments = ["-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-m", "not slow", *files]
    printed, found = run(tmp_path, "address,undefined", ["asan", "ubsan"], [*arguments, *NOT_HERE])
    assert found == []
    assert " passed" in printed


def test_no_race(tmp_path: Path) -> None:
    """Campaigns on several threads, on each kernel, and upsets in a circuit."""
    printed, found = run(tmp_path, "thread", ["tsan"], [str(TESTS / "threaded_campaigns.py")])
    assert found == []
    assert "campaigns on 4 threads" in printed
