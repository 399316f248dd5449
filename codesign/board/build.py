"""From a board project to a package: what must fit, the tools, their figures, and all of it in one place."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codesign.board.archive import write_zip
from codesign.board.boards import Board
from codesign.board.build_run import Builder, Done
from codesign.board.build_stages import TIMING, UTILIZATION, Recipe, recipe
from codesign.board.check import check_samples
from codesign.board.package import CHECK, MODEL, Package, model_json, package_name, runtime_files, write_package
from codesign.errors import ConfigError, ReportError, ToolError
from codesign.fixed import Ints
from codesign.hls.folder import MANIFEST, Project
from codesign.resources.estimate import EstimatePolicy, estimate
from codesign.resources.implementation import Timing, read_timing, read_utilization
from codesign.resources.paths import worst_path
from codesign.resources.report import ResourceReport

_SLACKS = {"wns_ns": "setup", "whs_ns": "hold", "wpws_ns": "pulse width"}


@dataclass(frozen=True)
class Samples:
    """Raw inputs of shape (n, n_in) to compare board and csim with, and their labels, shape (n,), where known."""

    raw: Ints
    labels: Ints | None = None


@dataclass(frozen=True)
class Built:
    """The figures after implementation, and the package; none when timing is not met, which `problem` then says."""

    resources: ResourceReport
    timing: Timing
    seconds: float
    package: Package | None
    problem: str | None


def misfits(project: Project, board: Board) -> list[str]:
    """One line for each resource of which the network alone needs more than the board has, by the estimate."""
    options = project.options
    policy = EstimatePolicy.of(options.strategy, options.dsp_min_bits)
    found = estimate(project.network, project.plan, clock_ns=options.clock_ns, policy=policy)
    return board.shortfalls(found.report)


def build(project: Project, board: Board, folder: Path, samples: Samples, *, collect: bool = False) -> Built:
    """Build a board project, with logs, state and package in `folder`; with `collect` only take what is built already.

    Finished stages are kept: the same call goes on where the last one stopped. Raises ToolError for a tool that is
    missing or fails, ReportError for a report that is not as expected.
    """
    how, builder = recipe(project, board), Builder(folder, project.folder)
    with builder.alone():
        check = check_samples(project, samples.raw, samples.labels)
        done: list[Done] = []
        if collect:
            if missing := how.missing(project.folder):
                raise ConfigError(f"{missing[0]} is not there: run build.sh in {project.folder} first")
        else:
            _demand_tools(builder, how, project, board, folder)
            done = builder.run(how.stages, f"building {project.network.name} for {board.name}")
        resources = read_utilization(project.folder / UTILIZATION)
        timing = read_timing(project.folder / TIMING)
        seconds = sum(one.seconds for one in done)
        if problem := too_slow(timing, project.folder / TIMING):
            return Built(resources, timing, seconds, None, problem)
        files = {**_files(project, how, builder), CHECK: check}
        described = _about(project, board, resources, timing, seconds)
        package = write_package(folder / package_name(project.network.name, board.name), files, described)
    return Built(resources, timing, seconds, package, None)


def _demand_tools(builder: Builder, how: Recipe, project: Project, board: Board, folder: Path) -> None:
    """Where a tool is missing, the sources are packed for a machine that has it."""
    try:
        builder.demand(how.stages)
    except ToolError as error:
        archive = folder / f"{package_name(project.network.name, board.name)}-sources.zip"
        write_zip(project.folder, archive)
        raise ToolError(
            f"{error}. Source the tools' settings64.sh; or build elsewhere: unpack {archive}, run its build.sh, bring "
            "the folder back and give it to codesign build with --collect",
            error.command,
        ) from None


def too_slow(timing: Timing, report: Path) -> str | None:
    """What is wrong with the timing, in one line; None when it is met.

    Raises ReportError where nothing was timed: then nobody knows.
    """
    if timing.wns_ns is None:
        raise ReportError(f"{report}: no path was timed: the design has no clock")
    slacks = {kind: value for name, kind in _SLACKS.items() if (value := getattr(timing, name)) is not None}
    kind = min(slacks, key=lambda name: slacks[name])
    if slacks[kind] >= 0 and timing.met is not False:
        return None
    path = worst_path(report)
    # Pulse widths have no paths: the worst one listed is then another check's.
    listed = path is not None and path.slack_ns == slacks[kind]
    where = f"; the worst path is {path.source} to {path.destination}" if path and listed else ""
    return f"timing is not met: {kind} slack {slacks[kind]:+.3f} ns{where}"


def _files(project: Project, how: Recipe, builder: Builder) -> dict[str, Path | bytes]:
    manifest = json.loads((project.folder / MANIFEST).read_text())
    layers = [layer.name for _, layer in project.network.compute_layers()]
    model = json.dumps(model_json(manifest, project.network.name, layers), indent=1) + "\n"
    reports = [*project.folder.glob("build/*.rpt"), *project.folder.glob("*_prj/solution1/syn/report/*csynth.*")]
    return {
        **{name: project.folder / path for name, path in how.design.items()},
        **{f"reports/{path.name}": path for path in sorted(reports)},
        **{f"logs/{path.name}": path for path in sorted(builder.logs.glob("*.log"))},
        **runtime_files(),
        MODEL: model.encode(),
    }


def _about(
    project: Project, board: Board, resources: ResourceReport, timing: Timing, seconds: float
) -> Mapping[str, Any]:
    times = asdict(timing)
    version = times.pop("tool_version")
    return {
        "network_name": project.network.name,
        "network": project.network.digest,
        "plan": project.plan.digest,
        "board": board.name,
        "part": project.options.part,
        "clock_ns": project.options.clock_ns,
        "tool": {"name": "vivado", "version": version},
        "seconds": round(seconds, 1),
        "resources": resources.to_json(),
        "timing": times,
    }
