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


def run(folder: Path, sanitizers: str, runtimes: list[str], arguments: list[str]) -> tuple[str, list[Path]]:
    """What a Python with the sanitized engine prints, and the files in which sanitizers report."""
    preloaded = ":".join(str(runtime(name)) for name in runtimes)
    library, log = folder / "sanitized" / "engine.so", folder / "report"
    build_engine.build(library, sanitizers)
    # Python's own leaks, which it always has, must not decide the exit code: the reports tell.
    options = f"log_path={log}:exitcode=0"
    environment = {
        **os.environ,
        "LD_PRELOAD": preloaded,
        "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]),
        VARIABLE: str(library),
        "ASAN_OPTIONS": f"{options}:detect_leaks=1",
        "UBSAN_OPTIONS": f"{options}:print_stacktrace=1:halt_on_error=1",
        "TSAN_OPTIONS": options,
    }
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=TESTS.parent
    )
    if "unexpected memory mapping" in done.stdout + done.stderr:
        pytest.skip("the thread sanitizer needs fewer random bits in addresses: sysctl vm.mmap_rnd_bits=28")
    assert not done.returncode, done.stdout[-PRINTED:] + done.stderr[-PRINTED:]
    return done.stdout, sorted(folder.glob("report.*"))


def findings(reports: list[Path], library: str = "engine.so") -> list[str]:
    """All that is reported, but leaks that do not come out of the library."""
    found = []
    for report in reports:
        text = report.read_text()
        about_leaks = "ERROR: LeakSanitizer: detected memory leaks" in text
        if "LeakSanitizer has encountered a fatal error" in text:
            pytest.skip("the leak sanitizer may not trace this process: allow ptrace (docker: --cap-add SYS_PTRACE)")
        parts = text.split("\n\n") if about_leaks else [text]
        found += [part[:PRINTED] for part in parts if not about_leaks or library in part]
    return found


def test_no_bad_access_no_undefined_behaviour_no_leak(tmp_path: Path) -> None:
    """All quick tests of the engine."""
    files = [str(TESTS / name) for name in ("test_native.py", "test_native_cases.py")]
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *files]
    printed, reports = run(tmp_path, "address,undefined", ["asan", "ubsan"], arguments)
    assert findings(reports) == []
    assert " passed" in printed


def test_no_race(tmp_path: Path) -> None:
    """Campaigns on several threads, on each kernel."""
    printed, reports = run(tmp_path, "thread", ["tsan"], [str(TESTS / "threaded_campaigns.py")])
    assert findings(reports) == []
    assert "campaigns on 4 threads" in printed
