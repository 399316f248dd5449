"""`codesign resources`: what a design occupies, by the source that was asked for."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign import cli_words
from codesign.cli_common import ActivationBits, Bits, Json, print_json
from codesign.errors import ConfigError, one_of

if TYPE_CHECKING:
    from codesign.cli_subjects import Costed

SOURCES = ("estimate", "yosys", "vivado", "vitis")


def resources(
    what: Annotated[
        str,
        typer.Argument(
            metavar="PROJECT_OR_RUN_OR_STUDY",
            help="An HLS project, a run (RUN, RUN:3, RUN:unprotected), a study, a saved network (NPZ), or a report.",
        ),
    ],
    source: Annotated[
        str,
        typer.Option(
            help="`estimate`, `yosys` to map the design with open tools, or `vivado` / `vitis` to read their reports.",
            autocompletion=cli_words.among(*SOURCES),
        ),
    ] = "estimate",
    family: Annotated[
        str | None,
        typer.Option(
            help="What Yosys maps to: `xc7` (7 series) or `xcup` (UltraScale+) [default: the part's, or xc7].",
            show_default=False,
            autocompletion=cli_words.families,
        ),
    ] = None,
    rtl: Annotated[
        Path | None,
        typer.Option("--rtl", help="With yosys: also write the Verilog, into this folder.", show_default=False),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="`latency` or `distributed_arithmetic` [default: the project's or design's].",
            show_default=False,
            autocompletion=cli_words.strategies,
        ),
    ] = None,
    dsp_min_bits: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Both factors of a product in DSPs have so many bits [default: the project's or design's].",
            show_default=False,
        ),
    ] = None,
    verify: Annotated[
        int,
        typer.Option(
            help="With yosys: simulate the mapped netlist on so many input vectors, against the network.", min=0
        ),
    ] = 0,
    weight_bits: Bits = None,
    activation_bits: ActivationBits = None,
    as_json: Json = False,
) -> None:
    """Print what a design occupies, and where the figures come from.

    A project without a report is given to `vivado_hls` or `vitis-run`, where that is installed, which can take hours.
    Yosys takes minutes at first; modules that it has mapped are kept, and interrupted, the same command goes on.
    """
    from codesign.report.text import resources_text

    one_of("source", source, SOURCES)
    if source != "yosys" and (family or rtl or verify):
        raise ConfigError(f"--family, --rtl and --verify are for --source yosys, not for {source}")
    if source in ("estimate", "yosys"):
        design = _design(what, weight_bits, activation_bits)
        kept = design.structure
        design = replace(design, structure=(strategy or kept[0], dsp_min_bits or kept[1]))
        report = _mapped(design, family, rtl, verify) if source == "yosys" else _estimated(design)
    else:
        if weight_bits is not None or activation_bits is not None:
            raise ConfigError("--weight-bits and --activation-bits choose a study's network, which has no reports")
        if strategy or dsp_min_bits:
            raise ConfigError(
                f"--strategy and --dsp-min-bits are for estimate and yosys: a report of {source} has its own"
            )
        report = _read(Path(what), source)
    if as_json:
        return print_json(report)
    print(resources_text(report), end="")
    return None


def _design(what: str, weight_bits: int | None, activation_bits: int | None) -> "Costed":
    """A run without a number stands for its project."""
    from codesign.cli_subjects import open_costed
    from codesign.hls.folder import Project
    from codesign.search.folder import RunFolder

    path = Path(what)
    if not path.exists() and ":" not in what:
        raise ConfigError(f"no project, run or report {what}")
    if path.is_dir() and (best := RunFolder(path).project).exists():
        what = str(best)
    elif (path.is_dir() and not RunFolder(path).result_path.exists()) or path.suffix in (".xml", ".rpt"):
        Project.open(path)  # says what is missing
    return open_costed(what, weight_bits, activation_bits)


def _estimated(design: "Costed") -> dict[str, Any]:
    from codesign.resources.estimate import EstimatePolicy, estimate

    policy = EstimatePolicy.of(*design.structure)
    return estimate(design.network, design.plan, clock_ns=design.clock_ns, policy=policy).to_json()


def _mapped(design: "Costed", family: str | None, folder: Path | None, vectors: int) -> dict[str, Any]:
    from codesign.resources.equivalence import mapped_circuit, verify
    from codesign.resources.estimate import EstimatePolicy
    from codesign.resources.mapping import FAMILIES, family_of
    from codesign.resources.synthesis import synthesise, write_rtl

    if family is not None:
        chosen = one_of("family", family, FAMILIES)
    else:
        chosen = family_of(design.part) if design.part else "xc7"
    policy = EstimatePolicy.of(*design.structure)
    if folder:
        write_rtl(design.network, design.plan, folder, clock_ns=design.clock_ns, policy=policy)
    found = synthesise(design.network, design.plan, clock_ns=design.clock_ns, family=chosen, policy=policy)
    if vectors:
        verify(mapped_circuit(found, design.network, design.plan), design.network, vectors)
    return {**found.to_json(), "verified": vectors}


def _read(what: Path, source: str) -> dict[str, Any]:
    from codesign.hls.folder import MANIFEST, Project
    from codesign.resources.modules import read_modules
    from codesign.resources.vendor import has_report, read_report
    from codesign.resources.vendor_run import run_csynth, tool_family
    from codesign.search.folder import RunFolder

    if not what.exists():
        raise ConfigError(f"no project, run or report {what}")
    best = RunFolder(what).project
    folder = best if best.exists() else what
    top = None
    if (folder / MANIFEST).exists():
        top = (project := Project.open(folder)).network.name
    if top and not has_report(folder):
        if source != (family := tool_family(project)):
            theirs = f"is a project for {project.options.backend}"
            raise ConfigError(f"{folder} has no csynth report and {theirs}: ask for --source {family}")
        run_csynth(project)
    found = read_report(folder, top, source)
    if found.source != source:
        raise ConfigError(f"{folder}: the report is of {found.source} {found.tool_version}, not of {source}")
    modules = read_modules(folder, top) if found.stage == "csynth" else []
    return {**found.to_json(), "modules": [module.to_json() for module in modules]}
