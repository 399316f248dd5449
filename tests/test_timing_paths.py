"""The slowest path of a timing summary."""

from pathlib import Path

import pytest

from codesign.errors import ReportError
from codesign.resources.paths import TimedPath, worst_path


def path_text(slack: str, source: str, destination: str, kind: str = "Setup (Max at Slow Process Corner)") -> str:
    verdict = "VIOLATED" if slack.startswith("-") else "MET"
    return (
        f"Slack ({verdict}) :        {slack}ns  (required time - arrival time)\n"
        f"  Source:                 {source}\n"
        "                            (rising edge-triggered cell FDRE clocked by clk  {rise@0.000ns fall@2.500ns})\n"
        f"  Destination:            {destination}\n"
        "                            (rising edge-triggered cell FDRE clocked by clk  {rise@0.000ns fall@2.500ns})\n"
        "  Path Group:             clk\n"
        f"  Path Type:              {kind}\n"
        "  Requirement:            5.000ns  (clk rise@5.000ns - clk rise@0.000ns)\n\n"
    )


def test_the_least_slack_of_all_checks_is_found(tmp_path: Path) -> None:
    report = tmp_path / "timing.rpt"
    report.write_text(
        "Max Delay Paths\n---\n"
        + path_text("-0.333", "fsm2/out_reg[0]/C", "mul_out2/out_reg[31]/D")
        + path_text("0.120", "a_reg/C", "b_reg/D")
        + "Min Delay Paths\n---\n"
        + path_text("-0.010", "x_reg/C", "y_reg/D", "Hold (Min at Fast Process Corner)")
    )
    assert worst_path(report) == TimedPath(-0.333, "fsm2/out_reg[0]/C", "mul_out2/out_reg[31]/D", "setup")
    report.write_text(path_text("0.5", "a/C", "b/D") + path_text("-1.25", "x/C", "y/D", "Hold (Min)"))
    assert worst_path(report) == TimedPath(-1.25, "x/C", "y/D", "hold")


def test_a_report_without_paths_has_no_worst_one(tmp_path: Path) -> None:
    report = tmp_path / "timing.rpt"
    report.write_text("Slack:                    inf\n  Source:  a\n")
    assert worst_path(report) is None


def test_a_path_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    report = tmp_path / "timing.rpt"
    report.write_text("\n".join(path_text("-0.333", "a/C", "b/D").splitlines()[:3]))
    with pytest.raises(ReportError, match=r"slack -0.333 ns has no 'Path Type'"):
        worst_path(report)
    with pytest.raises(ReportError, match="cannot read"):
        worst_path(tmp_path / "none.rpt")
