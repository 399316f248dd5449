"""`codesign build` with stand-ins for the vendor's tools."""

import json
import os
import shutil
import signal
import subprocess
from dataclasses import asdict
from pathlib import Path

import board_tools
import packages
import pytest
from board_tools import both, called, stand_in
from networks import small_network
from studies import COMMAND, ended, until

from codesign.assets import asset
from codesign.board import build as building
from codesign.board.package import open_package
from codesign.cli import run
from codesign.hls.folder import MANIFEST, Project
from codesign.hls.options import ProjectOptions
from codesign.hls.project import write_project
from codesign.protection import ProtectionPlan

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH besides the system's own."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return tmp_path / "tools"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A board project without sources that compile; its C-simulation is taken as done."""
    folder, network, plan = tmp_path / "project", small_network(), ProtectionPlan()
    (folder / "firmware").mkdir(parents=True)
    for name in ("project.tcl", "build_ip.tcl", "build_design.tcl", "firmware/net.cpp", "firmware/net.h"):
        (folder / name).write_text(f"{name}\n")
    (folder / "build.sh").write_text(board_tools.BUILD_SH)
    network.save(folder / "network.npz")
    options = asdict(ProjectOptions("Vivado", "xc7z020clg400-1", 10.0, axi_bits=64, board="pynq-z2"))
    manifest = {"network": network.digest, "plan": plan.to_json(), "plan_digest": plan.digest, "options": options}
    (folder / MANIFEST).write_text(json.dumps({**manifest, **board_tools.board_json(network, "pynq-z2")}))
    monkeypatch.setattr(building, "check_samples", lambda project, raw, labels: packages.check_bytes(network, len(raw)))
    runtime = {"codesign_runtime/__init__.py": Path(packages.__file__)}
    monkeypatch.setattr(building, "runtime_files", lambda: runtime)
    return folder


def build(project: Path, *options: object) -> int:
    return run(["build", str(project), "--board", "pynq-z2", *map(str, options)])


def test_a_package_is_built_and_what_is_done_is_kept(project: Path, tools: Path, capsys: Captured) -> None:
    both(tools)
    assert build(project, "--json", "--samples", 5) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert called(project) == ["vivado_hls", "vivado"]
    assert f"C-synthesis: {tools}/vivado_hls by sh build.sh hls in" in err and f"bitstream: {tools}/vivado by sh" in err
    assert (found["resources"]["lut"], found["resources"]["stage"], found["problem"]) == (7722, "routed", None)
    assert (found["timing"]["wns_ns"], found["timing"]["met"]) == (0.412, True)
    folder = project.with_name("project-pynq-z2")
    assert found["out"] == str(folder) and found["package"] == str(folder / "small-pynq-z2")
    for path in (found["package"], found["zip"]):
        with open_package(Path(path)) as package:
            manifest = package.manifest
            assert (package.folder / "design.bit").read_text() == "bits\n"
            assert {"reports/timing.rpt", "reports/utilization.rpt", "logs/hls.log", "logs/bitstream.log"} <= {
                *package.files
            }
    assert manifest["tool"] == {"name": "vivado", "version": "2024.1"} and manifest["resources"]["lut"] == 7722
    assert (manifest["board"], manifest["part"], manifest["clock_ns"]) == ("pynq-z2", "xc7z020clg400-1", 10.0)
    assert manifest["plan"] == ProtectionPlan().digest and manifest["timing"]["wns_ns"] == 0.412
    assert build(project) == 0
    out, err = capsys.readouterr()
    assert called(project) == [] and err.count("done before, nothing has changed") == 2
    assert "LUT 7,722" in out and "worst slack +0.412 ns" in out and f"package: {found['package']}(.zip)" in out
    (project / "firmware" / "net.h").write_text("changed")
    assert build(project) == 0 and called(project) == ["vivado_hls", "vivado"]


@pytest.mark.parametrize(
    ("slacks", "message"),
    [
        (
            ("-0.333", "0.051"),
            "setup slack -0.333 ns; the worst path is net_axi_0/inst/sum_reg[3]/C to net_axi_0/inst/vote",
        ),
        (("0.412", "-0.020"), "hold slack -0.020 ns; no package"),
    ],
)
def test_negative_slack_is_a_failure(
    project: Path, tools: Path, capsys: Captured, slacks: tuple[str, str], message: str
) -> None:
    both(tools, wns=slacks[0], whs=slacks[1])
    assert build(project) == 1
    out = capsys.readouterr().out
    assert f"timing is not met: {message}" in out and "no package was made" in out
    message = message.removesuffix("; no package")
    assert build(project, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["package"] is None and message in found["problem"]
    assert not (project.with_name("project-pynq-z2") / "small-pynq-z2").exists()


def test_a_design_without_a_clock_is_no_success(project: Path, tools: Path, capsys: Captured) -> None:
    both(tools)
    (tools / "timing.rpt").write_text(board_tools.timing_report("NA", "NA"))
    assert build(project) == 2
    assert "no path was timed" in capsys.readouterr().err


def test_what_does_not_fit_is_refused_before_anything_runs(
    tmp_path: Path, project: Path, tools: Path, capsys: Captured
) -> None:
    both(tools)
    small = tmp_path / "small.toml"
    text = (asset("boards") / "pynq-z2.toml").read_text()
    small.write_text(text.replace("lut = 53_200", "lut = 10").replace("ff = 106_400", "ff = 20"))
    assert run(["build", str(project), "--board", str(small)]) == 1
    out = capsys.readouterr().out
    assert "does not fit on pynq-z2" in out and "needed, pynq-z2 has 10 (" in out and "FF: " in out
    assert called(project) == []
    assert run(["build", str(project), "--board", str(small), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [line.split(":")[0] for line in found["shortfalls"]] == ["LUT", "FF"]
    assert run(["build", str(project), "--board", str(small), "--any-size"]) == 0
    assert called(project) == ["vivado_hls", "vivado"]


def test_without_tools_the_sources_are_packed(project: Path, tools: Path, tmp_path: Path, capsys: Captured) -> None:
    tools.mkdir()
    assert build(project) == 2
    error = capsys.readouterr().err
    archive = project.with_name("project-pynq-z2") / "small-pynq-z2-sources.zip"
    for words in ("vivado_hls (Vivado HLS 2019.2 to 2020.1)", "vivado (Vivado of the same", str(archive), "--collect"):
        assert words in error
    assert build(project, "--collect") == 2
    assert "build/design.bit is not there: run build.sh" in capsys.readouterr().err
    # Elsewhere, and back.
    subprocess.run(["unzip", "-q", archive, "-d", tmp_path / "elsewhere"], check=True)
    there = tmp_path / "elsewhere" / "project"
    assert os.access(there / "build.sh", os.X_OK)
    both(tools)
    subprocess.run(["sh", there / "build.sh"], cwd=there, check=True, capture_output=True)
    for tool in ("vivado_hls", "vivado"):
        (tools / tool).unlink()
    assert run(["build", str(there), "--board", "pynq-z2", "--collect"]) == 0
    assert "package: " in capsys.readouterr().out


def test_a_failed_tool_is_one_line_and_the_next_build_goes_on(project: Path, tools: Path, capsys: Captured) -> None:
    both(tools)
    good = (tools / "vivado").read_text()
    stand_in(tools, "vivado", "echo 'ERROR: [Place 30-640] Place Check : too many LUTs'; exit 1")
    assert build(project) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "exit code 1: ERROR: [Place 30-640] Place Check : too many LUTs" in error and "bitstream.log)" in error
    assert called(project) == ["vivado_hls", "vivado"]
    (tools / "vivado").write_text(good)
    assert build(project) == 0
    assert called(project) == ["vivado"]
    with open_package(project.with_name("project-pynq-z2") / "small-pynq-z2") as package:
        assert "logs/bitstream.1.log" in package.files


def test_ctrl_c_ends_the_tools_and_the_next_build_goes_on(project: Path, tools: Path) -> None:
    both(tools)
    good = (tools / "vivado").read_text()
    stand_in(tools, "vivado", "echo $$ >> pids; sh -c 'echo $$ >> pids; sleep 600' & wait")
    script = (
        "import sys; import pytest, test_build as t\n"
        "from codesign.board import build as b\n"
        "from codesign.cli import main\n"
        "b.check_samples = lambda project, raw, labels: t.packages.check_bytes(t.small_network(), len(raw))\n"
        "b.runtime_files = lambda: {'codesign_runtime/__init__.py': t.Path(t.packages.__file__)}\n"
        "main()"
    )
    command = [COMMAND[0], "-c", script, "build", str(project), "--board", "pynq-z2"]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})

    def started() -> list[int]:
        found = (project / "pids").read_text().split() if (project / "pids").exists() else []
        return [int(pid) for pid in found] if len(found) == 2 else []

    pids = until(started)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Traceback" not in error
    until(lambda: all(map(ended, pids)))
    assert called(project) == ["vivado_hls", "vivado"]
    (tools / "vivado").write_text(good)
    assert build(project) == 0
    assert called(project) == ["vivado"]


def test_bad_input_is_one_line(project: Path, tools: Path, tmp_path: Path, capsys: Captured) -> None:
    both(tools)
    assert run(["build", str(tmp_path / "none"), "--board", "pynq-z2"]) == 2
    assert "no project" in capsys.readouterr().err
    assert run(["build", str(project), "--board", "pynq-z3"]) == 2
    assert "unknown board 'pynq-z3'; did you mean 'pynq-z" in capsys.readouterr().err
    other = tmp_path / "other.toml"
    text = (asset("boards") / "pynq-z2.toml").read_text()
    other.write_text(text.replace("xc7z020clg400-1", "xc7z010clg400-1"))
    assert run(["build", str(project), "--board", str(other)]) == 2
    assert "has part xc7z010clg400-1: export it again" in capsys.readouterr().err
    (project / "build_design.tcl").unlink()
    assert build(project) == 2
    assert "build_design.tcl is missing" in capsys.readouterr().err
    assert Project.open(project).network == small_network()


@pytest.fixture
def plain(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project for no board; writing one for a board takes the files of `project`."""
    folder = tmp_path / "plain"
    folder.mkdir()
    document = json.loads((project / MANIFEST).read_text())
    document |= {"options": asdict(ProjectOptions("Vitis", io_type="io_stream")), "board": None}
    (folder / MANIFEST).write_text(json.dumps(document))
    shutil.copy(project / "network.npz", folder)

    def write(_: object, __: object, target: Path, ___: object, options: ProjectOptions, ____: object) -> Project:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(project, target)
        (target / MANIFEST).write_text(json.dumps({**document, "options": asdict(options)}))
        return Project.open(target)

    monkeypatch.setattr("codesign.board.build_project.write_board_project", write)
    return folder


def test_the_boards_project_is_written_once(plain: Path, tools: Path, capsys: Captured) -> None:
    both(tools, "vitis_hls")
    assert build(plain) == 0
    assert "writing the project for pynq-z2" in capsys.readouterr().err
    written = plain.with_name("plain-pynq-z2") / "project"
    options = Project.open(written).options
    assert (options.backend, options.part, options.clock_ns) == ("Vitis", "xc7z020clg400-1", 10.0)
    assert (options.board, options.axi_bits, options.io_type) == ("pynq-z2", 64, "io_stream")
    assert called(written) == ["vitis_hls", "vivado"]
    assert build(plain) == 0 and called(written) == []
    assert "writing" not in capsys.readouterr().err
    for name in ("vitis_hls", "vivado"):  # another shell, without the tools: what was built with them stays
        (tools / name).unlink()
    assert build(plain) == 2
    assert Project.open(written).options == options and (written / "build" / "design.bit").exists()
    both(tools, "vivado_hls")
    (tools / "vitis_hls").write_text("")
    assert build(plain) == 0
    assert Project.open(written).options.backend == "Vivado" and called(written) == ["vivado_hls", "vivado"]


LINKER = f"""
previous=
for word in "$@"; do [ "$previous" = -o ] && out=$word; previous=$word; done
echo linked > "$out"
case $out in *.xclbin)
    mkdir -p build/reports/link/imp
    cp {board_tools.UTILIZATION} build/reports/link/imp/ulp_full_util_routed.rpt
    cp "$(dirname "$0")/timing.rpt" build/reports/link/imp/ulp_timing_summary_routed.rpt ;;
esac
"""


@pytest.mark.parametrize(("board", "hls"), [("u250", "vitis-run"), ("zcu102", "vivado_hls")])
def test_real_projects_build_with_their_own_scripts(
    tmp_path: Path, project: Path, tools: Path, board: str, hls: str, capsys: Captured
) -> None:
    """The project as it is exported, its build.sh too; only the vendor's tools are stand-ins."""
    both(tools, hls)
    if board == "u250":
        stand_in(tools, "vivado", "echo kernel > build/small.xo")
        stand_in(tools, "v++", LINKER)
    shutil.rmtree(project)
    options = ProjectOptions("Vitis")
    folder = write_project(small_network(), ProtectionPlan.full(small_network()), tmp_path / "plain", options).folder
    assert run(["build", str(folder), "--board", board, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = {"u250": ["vitis-run", "vivado", "v++", "v++", "v++"], "zcu102": ["vivado_hls", "vivado"]}
    assert called(Path(found["out"]) / "project") == expected[board]
    with open_package(Path(found["zip"])) as package:
        assert ("design.xclbin" in package.files) == (board == "u250") != ("design.bit" in package.files)
        assert package.manifest["board"] == board and package.manifest["resources"]["lut"] == 7722
        model = json.loads((package.folder / "model.json").read_text())
    assert model["stream"]["bits"] == {"u250": 512, "zcu102": 128}[board]
    assert {"id_network", "id_plan", "samples"} <= {register["name"] for register in model["registers"]}
    assert run(["build", str(folder), "--board", board]) == 0
    assert called(Path(found["out"]) / "project") == []
