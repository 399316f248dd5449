"""Readers of Vivado's utilization and timing reports and of co-simulation reports."""

import contextlib
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codesign.errors import ReportError
from codesign.resources.implementation import Cosim, read_cosim, read_timing, read_utilization
from codesign.resources.report import ResourceReport
from codesign.resources.vendor import read_report

DATA = Path(__file__).parent / "data" / "reports"
VITIS, VIVADO = DATA / "vitis-2024.1-xcu250-conv1d", DATA / "vivado-2020.1-xczu9eg-dnd"


def after(lut: int, ff: int, dsp: int, bram_18k: int, version: str, stage: str) -> ResourceReport:
    return ResourceReport(lut, ff, dsp, bram_18k, None, None, None, "vivado", version, stage)


# Read by eye from the files.
REAL = {
    VITIS / "vivado_synth.rpt": after(8565, 4864, 467, 24, "2024.1", "optimized"),
    VITIS / "vivado_utilization.rpt": after(7722, 4864, 467, 24, "2024.1", "routed"),
    VIVADO / "vivado_synth.rpt": after(31277, 4555, 0, 1, "2020.1", "synthesized"),
}
TEXT = (VIVADO / "vivado_synth.rpt").read_text()

HEADER = """
| Tool Version      : Vivado v.2021.2 (lin64) Build 3367213 Tue Oct 19 02:47:39 MDT 2021
| Command           : report_timing_summary -file timing.rpt
| Design            : myproject
"""
COLUMNS = "  ".join(
    f"{slack}(ns)  {total}(ns)  {total} Failing Endpoints  {total} Total Endpoints"
    for slack, total in (("WNS", "TNS"), ("WHS", "THS"), ("WPWS", "TPWS"))
)


def timing_text(values: str, verdict: str = "All user specified timing constraints are met.") -> str:
    heading = "| Design Timing Summary\n| ---------------------\n"
    return f"{HEADER}\n{heading}\n    {COLUMNS}\n    -------  ---\n    {values}\n\n\n{verdict}\n"


MET = timing_text("2.221 0.000 0 153 0.080 0.000 0 153 2.225 0.000 0 26")

BAR = "+----------+----------+" + 2 * ("-" * 47 + "+")
MINS = "|" + 2 * (10 * " " + "|") + 2 * "      min      |      avg      |      max      |"


def cosim_text(vhdl: list[str], verilog: list[str], execution: bool = False) -> str:
    """As Vivado HLS writes it; Vitis HLS adds a column with the total time."""
    tail = lambda text: f"{text:>22}|" if execution else ""  # noqa: E731
    rows = [
        f"|{name:>10}|{cells[0]:>10}|" + "".join(f"{c:>15}|" for c in cells[1:]) + tail(cells[-1])
        for name, cells in (("VHDL", vhdl), ("Verilog", verilog))
    ]
    return "\n".join(["Simulation tool   : xsim.", "", BAR, MINS + tail(""), BAR, *rows, BAR, ""])


ABSENT = ["NA"] * 7


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that examples of one test overwrite in turn."""
    return tmp_path_factory.mktemp("reports") / "report.rpt"


def written(file: Path, text: str) -> Path:
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    return file


# ---------------------------------------------------------------- the right numbers


@pytest.mark.parametrize(("path", "expected"), REAL.items(), ids=lambda x: getattr(x, "stage", None))
def test_real_reports(path: Path, expected: ResourceReport) -> None:
    assert read_utilization(path) == read_report(path) == read_report(path, "myproject") == expected
    assert ResourceReport.from_json(expected.to_json()) == expected


def test_a_folder_prefers_what_came_after_csynth_where_vivado_is_asked(tmp_path: Path) -> None:
    reports = tmp_path / "myproject_prj" / "solution1" / "syn" / "report"
    reports.mkdir(parents=True)
    (reports / "myproject_csynth.rpt").write_bytes((VIVADO / "myproject_csynth.rpt").read_bytes())
    assert read_report(tmp_path, source="vivado").stage == "csynth"
    (tmp_path / "vivado_synth.rpt").write_text(TEXT)
    assert read_report(tmp_path, source="vivado") == REAL[VIVADO / "vivado_synth.rpt"]
    assert read_report(tmp_path, source="vitis").stage == read_report(tmp_path).stage == "csynth"


def test_seven_series_call_their_sites_slices(file: Path) -> None:
    text = TEXT.replace("CLB LUTs*      ", "Slice LUTs     ").replace("CLB Registers  ", "Slice Registers")
    assert read_utilization(written(file, text)) == REAL[VIVADO / "vivado_synth.rpt"]


def test_timing(file: Path) -> None:
    found = asdict(read_timing(written(file, MET), top="myproject"))
    slacks = {"wns_ns": 2.221, "tns_ns": 0.0, "whs_ns": 0.08, "ths_ns": 0.0, "wpws_ns": 2.225, "tpws_ns": 0.0}
    assert found == {**slacks, "met": True, "design": "myproject", "tool_version": "2021.2"}
    late = "-0.372 -10.105 90 153 0.010 0.000 0 153 2.225 0.000 0 26"
    found_late = read_timing(written(file, timing_text(late, "Timing constraints are not met.")))
    assert (found_late.wns_ns, found_late.tns_ns, found_late.met) == (-0.372, -10.105, False)
    free = read_timing(written(file, timing_text("NA NA NA NA NA NA NA NA NA NA NA NA", "")))
    assert (free.wns_ns, free.met) == (None, None)


@pytest.mark.parametrize("execution", [False, True])
def test_cosimulation(file: Path, execution: bool) -> None:
    verilog = ["Pass", "36", "36", "38", "1", "1", "2"]
    found = read_cosim(written(file, cosim_text(ABSENT, verilog, execution)))
    assert found == [Cosim("Verilog", passed=True, latency_cycles=38, ii=2)]
    open_ended = ["Fail", "36", "36", "36", "NA", "NA", "NA"]
    found = read_cosim(written(file, cosim_text(open_ended, verilog, execution)))
    assert found[0] == Cosim("VHDL", passed=False, latency_cycles=36, ii=None) and len(found) == 2


# ---------------------------------------------------------------- what is refused

CASES = [
    (
        read_utilization,
        TEXT.replace("|   LUT as Logic          | 31277", "|   LUT as Logic          | 31276"),
        "add up",
    ),
    (
        read_utilization,
        TEXT.replace("|   RAMB18          |    1 |", "|   RAMB18          |    2 |"),
        "there are 0 RAMB36",
    ),
    (read_utilization, TEXT.replace("| DSPs      |", "| DSPx      |"), "0 rows 'DSPs or DSP Slices'"),
    (read_utilization, TEXT.replace("Vivado v.2020.1", "Vivado v.99"), "tool version"),
    (read_utilization, TEXT.replace("| Design       : myproject", "| Design       : other"), "top function 'other'"),
    (read_utilization, TEXT[: TEXT.rindex("3. ARITHMETIC")], "0 rows 'DSPs"),
    (read_utilization, "Utilization Design Information", "the design's name"),
    (read_timing, MET.replace("2.221", "fast"), "unknown layout"),
    (read_timing, MET.replace("0.080", "0.08"), "three decimals"),
    (read_timing, MET.replace("2.221", "-2.221"), "a slack is negative"),
    (read_timing, MET.replace("WPWS(ns)", ""), "twelve columns"),
    (read_timing, MET + "Timing constraints are not met.\n", "both"),
    (read_timing, MET.replace("Design Timing", "Timing"), "0 times"),
    (read_cosim, cosim_text(ABSENT, ABSENT), "nothing was simulated"),
    (read_cosim, cosim_text(ABSENT, ["Maybe", *["1"] * 6]), "expected Pass or Fail"),
    (read_cosim, cosim_text(ABSENT, ["Pass", "9", "9", "8", "1", "1", "1"]), "from 9 to 8"),
    (read_cosim, "no table", "no table"),
]


@pytest.mark.parametrize(("read", "text", "message"), CASES, ids=[message for *_, message in CASES])
def test_what_cannot_be_is_refused(file: Path, read: object, text: str, message: str) -> None:
    options = {} if read is read_cosim else {"top": "myproject"}
    with pytest.raises(ReportError) as caught:
        read(written(file, text), **options)  # type: ignore[operator]
    assert message in str(caught.value) and str(file) in str(caught.value) and "\n" not in str(caught.value)


GOOD = REAL[VIVADO / "vivado_synth.rpt"]
# Each figure of the report that no sum guards, and the version, with what stands around it.
UNGUARDED = {"dsp": "| DSPs      |    0 |", "tool_version": "2020.1 (lin64)", "stage": "Synthesized"}


@settings(max_examples=300, deadline=None)
@given(
    at=st.integers(0, len(TEXT) - 1),
    gone=st.integers(0, 3),
    put=st.text(st.sampled_from("0123456789|+-. \nx"), max_size=2),
)
@example(at=TEXT.index("| 31277") + 2, gone=1, put="4")
@example(at=TEXT.index("| 31277") + 2, gone=0, put="1")
def test_damage_gives_no_other_number(file: Path, at: int, gone: int, put: str) -> None:
    """Sums guard LUT, FF and BRAM against any single damage; the others change only where they are hit."""
    try:
        found = read_report(written(file, TEXT[:at] + put + TEXT[at + gone :]))
    except ReportError:
        return
    for field, value in asdict(GOOD).items():
        place = TEXT.index(UNGUARDED[field]) if field in UNGUARDED else None
        hit = place is not None and place - 1 <= at + gone and at <= place + len(UNGUARDED[field])
        assert getattr(found, field) == value or hit


@settings(max_examples=150, deadline=None)
@given(end=st.integers(0, len(TEXT) - 1))
def test_a_truncated_report_is_refused_or_right(file: Path, end: int) -> None:
    with contextlib.suppress(ReportError):
        assert read_report(written(file, TEXT[:end])) == GOOD
