"""Readers of csynth reports, on real reports, on damaged ones, and on ones of other designs."""

import re
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from codesign.errors import ReportError
from codesign.resources.report import ResourceReport
from codesign.resources.vendor import read_csynth_rpt, read_csynth_xml, read_report

DATA = Path(__file__).parent / "data" / "reports"
VITIS = DATA / "vitis-2024.1-xcu250-conv1d"
SMALL_XML = VITIS / "myproject_csynth.xml"
FULL_XML = VITIS / "csynth.xml"
VITIS_RPT = VITIS / "myproject_csynth.rpt"
VIVADO_RPT = DATA / "vivado-2020.1-xczu9eg-dnd" / "myproject_csynth.rpt"

# Read by eye from the files.
CONV1D = ResourceReport(17966, 7123, 467, 29, 395, 390, 5.0, "vitis", "2024.1", "csynth")
DND = ResourceReport(59561, 4561, 0, 1, 5, 1, 5.0, "vivado", "2020.1", "csynth")

XML = SMALL_XML.read_text()
RPT = VIVADO_RPT.read_text()

# Layout of Vivado HLS up to 2019: units in the headings, no absolute latency.
RPT_2019 = """
================================================================
== Vivado HLS Report for 'big_mul'
================================================================
* Version:        2019.1.op (Build 2552052 on Fri May 24 15:28:33 MDT 2019)

+ Timing (ns):
    * Summary:
    +--------+-------+----------+------------+
    |  Clock | Target| Estimated| Uncertainty|
    +--------+-------+----------+------------+
    |ap_clk  |  18.00|    16.615|        2.25|
    +--------+-------+----------+------------+

+ Latency (clock cycles):
    * Summary:
    +-----+-----+-----+-----+----------+
    |  Latency  |  Interval | Pipeline |
    | min | max | min | max |   Type   |
    +-----+-----+-----+-----+----------+
    |    1|    ?|    1|    2| function |
    +-----+-----+-----+-----+----------+

================================================================
== Utilization Estimates
================================================================
* Summary:
+-----------------+---------+-------+-------+-------+
|       Name      | BRAM_18K| DSP48E|   FF  |  LUT  |
+-----------------+---------+-------+-------+-------+
|Expression       |        -|      -|      0|    500|
|Instance         |        -|   4356|      0|     43|
|Register         |        -|      -|     77|      -|
+-----------------+---------+-------+-------+-------+
|Total            |        0|   4356|     77|    543|
+-----------------+---------+-------+-------+-------+
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that examples of one test overwrite in turn."""
    return tmp_path_factory.mktemp("reports") / "report"


def refused(path: Path, top: str | None = None) -> str:
    """The message with which a file is refused: one line that names it."""
    with pytest.raises(ReportError) as caught:
        read_report(path, top)
    message = str(caught.value)
    assert str(path) in message
    assert len(message.splitlines()) == 1
    return message


def changed(tmp_path: Path, text: str, old: str, new: str) -> Path:
    """A copy with every `old` replaced; there has to be one."""
    assert old in text
    path = tmp_path / "changed_csynth"
    path.write_text(text.replace(old, new))
    return path


# --- the right numbers ---


@pytest.mark.parametrize(
    ("path", "expected"), [(SMALL_XML, CONV1D), (FULL_XML, CONV1D), (VITIS_RPT, CONV1D), (VIVADO_RPT, DND)]
)
def test_real_reports(path: Path, expected: ResourceReport) -> None:
    assert read_report(path) == expected
    assert read_report(path, "myproject") == expected
    reader = read_csynth_xml if path.suffix == ".xml" else read_csynth_rpt
    assert reader(path, top="myproject") == expected


def test_report_survives_json() -> None:
    unknown = ResourceReport(1, None, 3, None, None, None, None, "yosys", "0.70")
    for report in (CONV1D, DND, unknown):
        assert ResourceReport.from_json(report.to_json()) == report


@pytest.mark.parametrize(
    "change",
    [
        {"lut": -1},
        {"lut": 1.5},
        {"lut": True},
        {"lut": "1"},
        {"clock_ns": 0.0},
        {"clock_ns": float("nan")},
        {"source": "guess"},
        {"tool_version": None},
        {"luts": 1},
    ],
)
def test_report_refuses_what_is_no_figure(change: dict[str, object]) -> None:
    with pytest.raises(ReportError):
        ResourceReport.from_json({**asdict(CONV1D), **change})
    with pytest.raises(ReportError, match="not a resource report"):
        ResourceReport.from_json([change])


@pytest.mark.parametrize(("version", "source"), [("2018.3", "vivado"), ("2020.1", "vivado"), ("2020.2", "vitis")])
def test_the_tool_is_told_by_its_version(tmp_path: Path, version: str, source: str) -> None:
    report = read_report(changed(tmp_path, XML, "2024.1", version))
    assert (report.source, report.tool_version) == (source, version)


def test_vivado_hls_calls_the_dsp_by_its_primitive(tmp_path: Path) -> None:
    text = XML.replace("2024.1", "2019.2").replace("DSP>", "DSP48E>")
    path = tmp_path / "vivado.xml"
    path.write_text(text)
    assert read_report(path).dsp == 467


@pytest.mark.parametrize("absent", ["undef", "?", "-"])
def test_what_the_tool_leaves_open_is_none(tmp_path: Path, absent: str) -> None:
    for field, tag in (("latency_cycles", "Worst-caseLatency"), ("ii", "Interval-max"), ("lut", "LUT")):
        path = changed(tmp_path, XML, f"<{tag}>{getattr(CONV1D, field)}<", f"<{tag}>{absent}<")
        assert asdict(read_report(path)) == {**asdict(CONV1D), field: None}


def test_text_report_of_2019(tmp_path: Path) -> None:
    path = tmp_path / "big_mul_csynth.rpt"
    path.write_text(RPT_2019)
    assert read_report(path, "big_mul") == ResourceReport(
        543, 77, 4356, 0, None, 2, 18.0, "vivado", "2019.1.op", "csynth"
    )


# --- project folders ---


def project(folder: Path, name: str, file: Path, called: str) -> Path:
    reports = folder / f"{name}_prj" / "solution1" / "syn" / "report"
    reports.mkdir(parents=True)
    shutil.copy(file, reports / called)
    return folder


@pytest.mark.parametrize(
    ("file", "called"),
    [(FULL_XML, "csynth.xml"), (SMALL_XML, "myproject_csynth.xml"), (VITIS_RPT, "myproject_csynth.rpt")],
)
def test_project_folder(tmp_path: Path, file: Path, called: str) -> None:
    project(tmp_path, "myproject", file, called)
    (tmp_path / "myproject_prj/solution1/syn/report/dense_latency_csynth.xml").write_text("not the top")
    assert read_report(tmp_path) == CONV1D
    assert read_report(tmp_path, "myproject") == CONV1D
    assert read_report(tmp_path / "myproject_prj") == CONV1D


def test_folder_without_a_report_says_where_it_looked(tmp_path: Path) -> None:
    assert str(tmp_path / "*_prj" / "solution1" / "syn" / "report" / "csynth.xml") in refused(tmp_path)
    (tmp_path / "net_prj").mkdir()
    assert str(tmp_path / "net_prj" / "solution1" / "syn" / "report" / "net_csynth.xml") in refused(tmp_path)


def test_folder_with_two_projects_needs_the_top(tmp_path: Path) -> None:
    project(tmp_path, "myproject", SMALL_XML, "csynth.xml")
    project(tmp_path, "other", VITIS_RPT, "other_csynth.rpt")
    assert "more than one project" in refused(tmp_path)
    assert read_report(tmp_path, "myproject") == CONV1D


# --- refusals ---


@pytest.mark.parametrize("path", [SMALL_XML, VITIS_RPT])
def test_another_top_is_refused(path: Path) -> None:
    assert "it is of top function 'myproject', expected 'other'" in refused(path, "other")


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.xml")
    (tmp_path / "empty.xml").touch()
    assert "broken XML" in refused(tmp_path / "empty.xml")
    for reader in (read_csynth_xml, read_csynth_rpt):
        with pytest.raises(ReportError, match="cannot read report .*directory"):
            reader(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("profile>", "report>", "the root is <report>, expected <profile>"),
        ("AreaEstimates>", "Area>", "0 times <AreaEstimates>"),
        ("PerformanceEstimates>", "Performance>", "0 times <PerformanceEstimates>"),
        ("UserAssignments>", "User>", "0 times <UserAssignments>"),
        ("ReportVersion>", "Report>", "0 times <ReportVersion>"),
        ("LUT>", "CLB>", "0 times <LUT>"),
        ("<FF>", "<LUT>1</LUT><FF>", "2 times <LUT>"),
        ("<DSP>467", "<DSP48E>1</DSP48E><DSP>467", "2 times <DSP48E> or <DSP>"),
        ("17966", "<b>17966</b>", "expected a plain value"),
        ("17966", "-17966", "LUT is '-17966'"),
        ("17966", "17966.0", "LUT is '17966.0'"),
        ("17966", "1e4", "LUT is '1e4'"),
        ("17966", "0x10", "LUT is '0x10'"),
        ("17966", "\N{ARABIC-INDIC DIGIT ONE}7966", "LUT is"),
        ("17966", "", "LUT is ''"),
        ("17966", "99999999999", "LUT is '99999999999'"),
        ("17966", "9" * 5000, "LUT is '999"),
        ("<Best-caseLatency>395", "<Best-caseLatency>396", "latency runs from 396 to 395 cycles"),
        (">5.00<", ">-5.00<", "target clock is '-5.00'"),
        (">5.00<", ">0.00<", "target clock is '0.00'"),
        (">5.00<", ">nan<", "target clock is 'nan'"),
        (">5.00<", ">5.00 us<", "target clock is '5.00 us'"),
        ("<unit>ns</unit>\n<Prod", "<unit>us</unit>\n<Prod", "the clock is in 'us', expected ns"),
        ("<unit>clock cycles", "<unit>clock\ncycles\n(x1000)", "the latency is in"),
        ("2024.1", "unknown", "tool version is 'unknown'"),
        ("2024.1", "1.9", "tool version is '1.9'"),
    ],
)
def test_foreign_or_impossible_xml_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert message in refused(changed(tmp_path, XML, old, new))


@pytest.mark.parametrize(
    "prolog",
    [
        '<!DOCTYPE p [<!ENTITY a "17966"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE p [<!ENTITY b SYSTEM "file:///etc/hostname">]>',
        "<!DOCTYPE profile>",
    ],
)
def test_entities_and_dtds_are_refused(tmp_path: Path, prolog: str) -> None:
    body = XML.replace("17966", "&b;") if "ENTITY" in prolog else XML
    path = tmp_path / "bomb.xml"
    path.write_text(prolog + body)
    assert "expected plain XML without DTD and entities" in refused(path)


@pytest.mark.parametrize("encoding", ["no-such-encoding", "utf-7", "big5"])
def test_unusable_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "odd.xml"
    path.write_text(f'<?xml version="1.0" encoding="{encoding}"?>' + XML)
    refused(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Vivado HLS Report", "Timing Report", "0 lines with the title of an HLS report"),
        ("* Version: ", "* Release: ", "0 lines with a version"),
        ("2020.1 (", "20.1 (", "tool version is '20.1 ("),
        ("+ Timing: ", "+ Timing (us): ", "0 times the heading '+ Timing:'"),
        ("5.00 ns |", "5.00 us |", "target clock is '5.00 us', expected ns"),
        ("5.00 ns |", "0.00 ns |", "target clock is '0.00'"),
        ("Latency (cycles)", "Latency (frames)", "the latency summary has an unknown layout"),
        ("|        5|        5|", "|        6|        5|", "latency runs from 6 to 5 cycles"),
        ("|        5|        5|", "|        5|       -5|", "latency is '-5'"),
        ("|        5|        5|", "|        5|    |   5|", "the latency summary has an unknown layout"),
        ("== Utilization Estimates", "== Utilisation", "0 times the heading"),
        ("|Total  ", "|Totals ", "the utilization summary has an unknown layout"),
        ("|   LUT  |", "|   CLB  |", "expected LUT, FF, DSP, BRAM_18K"),
        ("|   59561|", "|   59562|", "the total of LUT is 59562, but its rows add up to 59561"),
        ("|   59561|", "|  59 561|", "LUT is '59 561'"),
        ("|   59561|", "|59561|", "is cut short or damaged"),
        ("|    4561|   59561|", "|    |4561|  59561|", "too few or too many cells"),
    ],
)
def test_foreign_or_impossible_rpt_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert message in refused(changed(tmp_path, RPT, old, new))


def test_a_stray_copy_of_a_section_is_refused(tmp_path: Path) -> None:
    assert "2 times the heading" in refused(changed(tmp_path, RPT, "== Interface", "== Utilization Estimates"))


# --- laws of damage ---
#
# A reader cannot tell a damaged digit from another design's. So the law is: damage outside the values that
# are read changes nothing or is refused, and damage inside one gives the number that now stands there, or
# is refused; no other figure ever moves.


# How a person would find each figure. The first match counts: `Resources` stands before `AvailableResources`.
XML_PATTERNS = {
    "tool_version": "<Version>([^<]*)<",
    "clock_ns": "<TargetClockPeriod>([^<]*)<",
    "latency_cycles": "<Worst-caseLatency>([^<]*)<",
    "ii": "<Interval-max>([^<]*)<",
    "lut": "<LUT>([^<]*)<",
    "ff": "<FF>([^<]*)<",
    "dsp": "<DSP>([^<]*)<",
    "bram_18k": "<BRAM_18K>([^<]*)<",
}
# Only the figures that no sum protects; the others must not move at all.
RPT_PATTERNS = {
    "tool_version": r"\* Version:(\s+[^ ]*) ",
    "clock_ns": r"\|ap_clk  \|([^|]*) ns ",
    "latency_cycles": r"\|        5\|([^|]*)\| 25.000 ns",
    "ii": r"\|    1\|([^|]*)\| function \|",
}


def spans_of(patterns: dict[str, str], text: str) -> dict[str, tuple[int, int]]:
    """Where each figure stands: first and past the last character."""
    matches = {field: re.search(pattern, text) for field, pattern in patterns.items()}
    return {field: match.span(1) for field, match in matches.items() if match}


XML_SPANS = spans_of(XML_PATTERNS, XML)
RPT_SPANS = spans_of(RPT_PATTERNS, RPT)


def test_the_figures_are_where_the_laws_of_damage_expect_them() -> None:
    for text, spans, good in ((XML, XML_SPANS, CONV1D), (RPT, RPT_SPANS, DND)):
        for field, (first, end) in spans.items():
            assert figure(field, text[first:end]) == getattr(good, field)
    assert len(XML_SPANS) == len(XML_PATTERNS)
    assert len(RPT_SPANS) == len(RPT_PATTERNS)


def figure(field: str, written: str) -> object:
    """The value that this text stands for."""
    if field == "tool_version":
        return written.split()[0]
    if written.strip() in {"undef", "?", "-"}:
        return None
    return float(written) if field == "clock_ns" else int(written)


def outcome(path: Path, text: str) -> ResourceReport | None:
    """What is read of this text, None where it is refused."""
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        return read_report(path)
    except ReportError:
        return None


def near(spans: dict[str, tuple[int, int]], last: int) -> st.SearchStrategy[int]:
    """Positions anywhere, and as often ones in or beside a figure."""
    beside = sorted({at for first, end in spans.values() for at in range(first - 3, end + 3)})
    return st.integers(0, last) | st.sampled_from(beside)


def check_damage(path: Path, text: str, at: int, gone: int, put: str, patterns: dict[str, str]) -> None:
    """Replace `gone` characters at `at` by `put`: no figure moves but the one that is hit, and that as written."""
    good = CONV1D if text is XML else DND
    damaged = text[:at] + put + text[at + gone :]
    after = outcome(path, damaged)
    if after is None:
        return
    now, expected = spans_of(patterns, damaged), asdict(good)
    for field, (first, end) in spans_of(patterns, text).items():
        touched = at <= end + 1 and at + gone >= first - 1
        if touched and getattr(after, field) != getattr(good, field):
            expected[field] = figure(field, damaged[slice(*now[field])])
            # The tool is told by its version.
            expected["source"] = after.source if field == "tool_version" else good.source
    assert asdict(after) == expected


CHARACTERS = st.characters(min_codepoint=0, max_codepoint=0x2FF) | st.sampled_from("0123456789<>/&|+-. \n")


@settings(max_examples=400, deadline=None)
@given(at=near(XML_SPANS, len(XML) - 1), gone=st.integers(0, 3), put=st.text(CHARACTERS, max_size=3))
@example(at=XML_SPANS["lut"][0], gone=1, put="2")
@example(at=XML_SPANS["lut"][0], gone=0, put="-")
@example(at=XML_SPANS["lut"][0] - 1, gone=1, put=">1")
@example(at=XML_SPANS["ii"][0], gone=3, put="?")
def test_damaged_xml_gives_no_other_number(file: Path, at: int, gone: int, put: str) -> None:
    check_damage(file, XML, at, gone, put, XML_PATTERNS)


@settings(max_examples=400, deadline=None)
@given(at=near(RPT_SPANS, 5000), gone=st.integers(0, 3), put=st.text(CHARACTERS, max_size=3))
@example(at=RPT.index("|   59561|") + 4, gone=1, put="6")
@example(at=RPT_SPANS["latency_cycles"][1] - 1, gone=1, put="7")
def test_damaged_rpt_gives_no_other_number(file: Path, at: int, gone: int, put: str) -> None:
    check_damage(file, RPT, at, gone, put, RPT_PATTERNS)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), doubled=st.booleans())
def test_text_lost_or_doubled_gives_no_other_number(file: Path, data: st.DataObject, doubled: bool) -> None:
    text, good, spans = data.draw(st.sampled_from([(XML, CONV1D, XML_SPANS), (RPT, DND, RPT_SPANS)]))
    places = near(spans, min(len(text), 6000))
    first, end = sorted((data.draw(places), data.draw(places)))
    # Digits lost from within one line can leave another number; that is the business of the tests above.
    assume("\n" in text[first:end])
    after = outcome(file, text[:end] + text[first:] if doubled else text[:first] + text[end:])
    assert after in (None, good)


@settings(max_examples=200, deadline=None)
@given(end=st.integers(0, len(XML.rstrip()) - 1))
def test_truncated_xml_is_refused(file: Path, end: int) -> None:
    assert outcome(file, XML[:end]) is None


UTILIZATION_END = RPT.index("+ Detail: ", RPT.index("== Utilization Estimates"))


@settings(max_examples=200, deadline=None)
@given(end=st.integers(0, len(RPT)))
@example(end=RPT.index("|Available "))
def test_truncated_rpt_is_refused_or_right(file: Path, end: int) -> None:
    after = outcome(file, RPT[:end])
    assert after in (None, DND)
    if end >= UTILIZATION_END:
        assert after == DND, "all that is read stands before this point"
    if end < RPT.index("|Available "):
        assert after is None or RPT[:end].rstrip().endswith("+")


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=300),
    start=st.sampled_from([b"", b"<profile>", b"\xff\xfe<", b"== Vivado HLS Report for 'a'\n"]),
)
def test_arbitrary_bytes_are_refused(file: Path, data: bytes, start: bytes) -> None:
    file.write_bytes(start + data)
    refused(file)
