"""C-synthesis of a project with stand-ins for the vendor's tools, which write real reports."""

import json
import os
import signal
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
from networks import small_network
from studies import COMMAND, ended, until

from codesign.cli import run
from codesign.errors import ToolError
from codesign.hls.folder import MANIFEST, Project
from codesign.hls.options import ProjectOptions
from codesign.protection import ProtectionPlan
from codesign.resources.vendor_run import LOG, run_csynth

REPORT = Path(__file__).parent / "data" / "reports" / "vivado-2020.1-xczu9eg-dnd" / "myproject_csynth.rpt"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH besides the system's own."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


def stand_in(tools: Path, name: str, body: str) -> None:
    """A tool that writes down how it was called, then does what `body` says."""
    script = tools / name
    script.write_text(f'#!/bin/sh\npwd > called.txt\nfor a in "$@"; do echo "$a" >> called.txt; done\n{body}\n')
    script.chmod(0o755)


def project(tmp_path: Path, backend: str) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    network, plan = small_network(), ProtectionPlan()
    options = ProjectOptions(backend)  # type: ignore[arg-type]
    network.save(folder / "network.npz")
    manifest = {"network": network.digest, "plan": plan.to_json(), "options": asdict(options)}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return Project.open(folder)


def writes_report(top: str) -> str:
    """As a shell command: the report of another design under this one's name."""
    place = f"{top}_prj/solution1/syn/report"
    return f"mkdir -p {place}; sed \"s/'myproject'/'{top}'/\" {REPORT} > {place}/{top}_csynth.rpt"


def test_vivado_hls_is_called_with_the_projects_tcl(
    tmp_path: Path, tools: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = project(tmp_path, "Vivado")
    stand_in(tools, "vivado_hls", f"echo hello; {writes_report(made.network.name)}")
    assert run(["resources", str(made.folder), "--source", "vivado", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["lut"], found["source"], found["stage"]) == (59561, "vivado", "csynth")
    options = "reset=1 csim=0 synth=1 cosim=0 validation=0 export=0 vsynth=0 fifo_opt=0"
    called = (made.folder / "called.txt").read_text().splitlines()
    assert called == [str(made.folder), "-f", "build_prj.tcl", options]
    assert (made.folder / LOG).read_text() == "hello\n"
    (made.folder / "called.txt").unlink()
    assert run(["resources", str(made.folder), "--source", "vivado"]) == 0
    assert not (made.folder / "called.txt").exists(), "what is there is not made again"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("vitis-run", ["--mode", "hls", "--tcl", "build_prj.tcl"]), ("vitis_hls", ["-f", "build_prj.tcl"])],
)
def test_vitis_takes_its_options_from_a_file(tmp_path: Path, tools: Path, tool: str, arguments: list[str]) -> None:
    made = project(tmp_path, "Vitis")
    stand_in(tools, tool, "cp build_opt.tcl seen.tcl")
    run_csynth(made)
    assert (made.folder / "called.txt").read_text().splitlines()[1:] == arguments
    body = (made.folder / "seen.tcl").read_text().split()
    assert body[:4] == ["array", "set", "opt", "{"] and body[-1] == "}"
    options = dict(zip(body[4:-1:2], body[5:-1:2], strict=True))
    assert {name for name, on in options.items() if on == "1"} == {"reset", "synth"} and len(options) == 8


def test_without_the_tool_it_says_which_and_what_else(
    tmp_path: Path, tools: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = project(tmp_path, "Vitis")
    assert run(["resources", str(made.folder), "--source", "vitis"]) == 2
    line = capsys.readouterr().err
    assert "vitis-run or vitis_hls" in line and "--source estimate" in line and str(made.folder) in line
    assert run(["resources", str(made.folder), "--source", "vivado"]) == 2
    assert "ask for --source vitis" in capsys.readouterr().err


def test_a_failing_tool_shows_its_first_error_and_the_log(tmp_path: Path, tools: Path) -> None:
    made = project(tmp_path, "Vivado")
    stand_in(tools, "vivado_hls", "echo fine; echo 'ERROR: [HLS 200-70] no part'; echo 'ERROR: later'; exit 3")
    with pytest.raises(ToolError, match=r"exit code 3: ERROR: \[HLS 200-70\] no part \(log: .*codesign_csynth.log\)"):
        run_csynth(made)


def pids_of(folder: Path, number: int) -> list[int]:
    """What the stand-in wrote down of its processes, once they all have."""

    def written() -> list[int]:
        found = (folder / "pids").read_text().split() if (folder / "pids").exists() else []
        return [int(pid) for pid in found] if len(found) == number else []

    return until(written)


WITH_A_CHILD = "echo $$ >> pids; sh -c 'echo $$ >> pids; sleep 600' & wait"


def test_a_tool_that_takes_too_long_is_ended_with_its_children(tmp_path: Path, tools: Path) -> None:
    made = project(tmp_path, "Vivado")
    stand_in(tools, "vivado_hls", WITH_A_CHILD)
    with pytest.raises(ToolError, match="took more than 1 s"):
        run_csynth(made, limit_s=1.0)
    until(lambda: all(map(ended, pids_of(made.folder, 2))))


def test_ctrl_c_ends_the_tools_children(tmp_path: Path, tools: Path) -> None:
    made = project(tmp_path, "Vivado")
    stand_in(tools, "vivado_hls", WITH_A_CHILD)
    command = [*COMMAND, "resources", str(made.folder), "--source", "vivado"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    pids = pids_of(made.folder, 2)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    until(lambda: all(map(ended, pids)))
