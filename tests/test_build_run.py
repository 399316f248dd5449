"""Stages of a build: what is done is kept, what has changed or failed is done again."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from codesign.board.build_run import Builder, Need, Stage
from codesign.board.build_steps import step_of
from codesign.errors import ConfigError, ToolError
from codesign.progress import console

HLS = Stage(
    "hls",
    "C-synthesis",
    ("sh", "make.sh", "hls-tool"),
    (Need(("hls-tool",), "2020.1"),),
    ("ip.tcl", "src/*.cpp"),
    ("ip",),
)
BIT = Stage(
    "bit",
    "bitstream",
    ("sh", "make.sh", "vendor"),
    (Need(("vendor",), "any"),),
    ("bit.tcl",),
    ("out/*.bit", "out/*.rpt"),
)
STAGES = [HLS, BIT]


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    tools, project = tmp_path / "tools", tmp_path / "project"
    (project / "src").mkdir(parents=True)
    tools.mkdir()
    for name in ("ip.tcl", "bit.tcl", "src/a.cpp", "src/b.cpp"):
        (project / name).write_text(name)
    (project / "make.sh").write_text('exec "$1"')
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin")
    tool(tools, "hls-tool", "cat src/*.cpp > ip")
    tool(tools, "vendor", "mkdir -p out; cp ip out/x.bit; echo ok > out/t.rpt")
    return Builder(tmp_path / "out", project)


def tool(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "$0 $*" >> called\n{body}\n')
    path.chmod(0o755)


def called(builder: Builder) -> list[str]:
    """The tools that were called since the last look."""
    path = builder.project / "called"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [Path(line.split()[0]).name for line in lines]


def tools(builder: Builder) -> Path:
    return builder.folder.parent / "tools"


def test_what_is_done_is_not_done_again(builder: Builder, capsys: pytest.CaptureFixture[str]) -> None:
    first = builder.run(STAGES, "building")
    assert called(builder) == ["hls-tool", "vendor"]
    assert [*first[1].outputs] == ["out/x.bit", "out/t.rpt"] and first[0].tools == [str(tools(builder) / "hls-tool")]
    assert (builder.project / "called").exists() is False
    assert builder.run(STAGES, "building") == first and called(builder) == []
    assert "C-synthesis: done before" in capsys.readouterr().err
    assert sorted(p.name for p in builder.logs.iterdir()) == ["bit.log", "hls.log"]


CHANGES: dict[str, tuple[Callable[[Builder], object], list[str]]] = {
    "a source": (lambda b: (b.project / "src/a.cpp").write_text("new"), ["hls-tool", "vendor"]),
    "another source": (lambda b: (b.project / "src/c.cpp").write_text("c"), ["hls-tool", "vendor"]),
    "a script of the second": (lambda b: (b.project / "bit.tcl").write_text("new"), ["vendor"]),
    "an output of the first": (lambda b: (b.project / "ip").write_text("damaged"), ["hls-tool"]),
    "an output of the second": (lambda b: (b.project / "out/x.bit").unlink(), ["vendor"]),
    "the state": (lambda b: (b.folder / "build.json").write_text("{"), ["hls-tool", "vendor"]),
    "the state's form": (lambda b: (b.folder / "build.json").write_text('{"stages": [1]}'), ["hls-tool", "vendor"]),
}


@pytest.mark.parametrize(("change", "again"), CHANGES.values(), ids=CHANGES)
def test_what_has_changed_is_done_again(
    builder: Builder, change: Callable[[Builder], object], again: list[str]
) -> None:
    builder.run(STAGES, "building")
    called(builder)
    change(builder)
    builder.run(STAGES, "building")
    assert called(builder) == again
    builder.run(STAGES, "building")
    assert called(builder) == []


def test_another_release_of_a_tool_does_it_again(builder: Builder, tmp_path: Path) -> None:
    builder.run(STAGES, "building")
    other = tmp_path / "2020.2"
    other.mkdir()
    (tools(builder) / "vendor").rename(other / "vendor")
    (tools(builder) / "vendor").symlink_to(other / "vendor")
    called(builder)
    builder.run(STAGES, "building")
    assert called(builder) == ["vendor"]


def test_a_failed_stage_is_where_the_next_build_begins(builder: Builder) -> None:
    tool(tools(builder), "vendor", "mkdir -p out; echo half > out/x.bit; echo 'ERROR: [Place 30-640] no room'; exit 1")
    with pytest.raises(ToolError, match=r"exit code 1: ERROR: \[Place 30-640\] no room \(log: .*/logs/bit.log\)"):
        builder.run(STAGES, "building")
    assert called(builder) == ["hls-tool", "vendor"] and [*builder.state()] == ["hls"]
    tool(tools(builder), "vendor", "mkdir -p out; cp ip out/x.bit; echo ok > out/t.rpt")
    builder.run(STAGES, "building")
    assert called(builder) == ["vendor"]
    assert "no room" in (builder.logs / "bit.1.log").read_text() and (builder.logs / "bit.log").read_text() == ""


def test_a_tool_that_writes_nothing_has_failed(builder: Builder) -> None:
    builder.run(STAGES, "building")
    (builder.project / "bit.tcl").write_text("new")
    tool(tools(builder), "vendor", "true")
    with pytest.raises(ConfigError, match=r"bitstream: .*/out/\*.bit was not written; log: .*bit.log"):
        builder.run(STAGES, "building")


def test_missing_tools_are_all_named_before_anything_runs(builder: Builder) -> None:
    for name in ("hls-tool", "vendor"):
        (tools(builder) / name).unlink()
    message = r"not on the PATH: hls-tool \(2020.1\), vendor \(any\)"
    with pytest.raises(ToolError, match=message):
        builder.run(STAGES, "building")
    tool(tools(builder), "hls-tool", "cat src/*.cpp > ip")
    with pytest.raises(ToolError, match=r"not on the PATH: vendor \(any\)"):
        builder.run(STAGES, "building")
    assert called(builder) == []


def test_a_missing_source_is_named(builder: Builder) -> None:
    (builder.project / "bit.tcl").unlink()
    with pytest.raises(ConfigError, match=r"bitstream: .*/bit.tcl is missing: write the project again"):
        builder.run(STAGES, "building")


def test_two_builds_do_not_share_a_folder(builder: Builder) -> None:
    with builder.alone(), pytest.raises(ConfigError, match=r"another process .* --out"), builder.alone():
        raise AssertionError
    with builder.alone():
        pass


def test_the_log_shows_where_a_tool_is(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[list[str]] = []
    monkeypatch.setattr("codesign.progress.Shown.tell", lambda self, lines: said.append(list(lines)))
    monkeypatch.setattr(console, "quiet", True)
    tool(tools(builder), "vendor", "echo Starting Placer Task; mkdir -p out; cp ip out/x.bit; echo ok > out/t.rpt")
    builder.run(STAGES, "building")
    assert said == [["bitstream: placement"]]


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("INFO: [HLS 200-10] Analyzing design file 'firmware/net.cpp' ... ", "reading net.cpp"),
        ("INFO: [HLS 200-10] Starting code transformations ...", "code transformations"),
        ("INFO: [HLS 200-42] -- Implementing module 'fir_Pipeline_1' ", "scheduling fir_Pipeline_1"),
        ("INFO: [HLS 200-10] -- Generating RTL for module 'relu'", "RTL of relu"),
        ("Command: synth_design -top design_1_wrapper -part xc7z020clg400-1", "synthesis"),
        ("Starting synth_design", "synthesis"),
        ("Starting Routing Task", "routing"),
        ("Command: write_bitstream -force design_1_wrapper.bit", "bitstream"),
        ("INFO: [v++ 60-1443] [12:00:00] Run run_link: Step vpl: Started", "vpl"),
        ("INFO: [Common 17-206] Exiting Vivado at Fri Jul 17 20:32:01 2026...", None),
        ("", None),
    ],
)
def test_steps_of_real_lines(line: str, step: str | None) -> None:
    assert step_of(line) == step
