"""Progress: live on a terminal, seldom a line in a log, never on standard output."""

import io
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import studies

import codesign.progress as progress
from codesign.campaign.requirement import Requirement
from codesign.campaign.sequential import Stopping
from codesign.campaign.watch import Watch
from codesign.engine.counts import COUNTS, CountArray


class Clock:
    """A time of day that only a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is said where nobody watches."""
    file = io.StringIO()
    monkeypatch.setattr(progress.console, "_file", file)  # `file` would give back what standard error is now
    yield file
    progress.console.quiet = False


def test_a_log_gets_a_line_each_half_minute_and_none_before(log: io.StringIO) -> None:
    clock = Clock()
    lines = progress._Lines("trials", 10_000, clock)
    lines(2000)  # from the store: they took no time
    for second in range(1, 71):
        clock.now += 1
        lines(2000 + 100 * second)
        lines.tell([f"accuracy {second}"])
    lines(10_000)
    assert log.getvalue().splitlines() == [
        "trials: 5,000 of 10,000 (50%), 100/s, 0:00:50 left; accuracy 29",
        "trials: 8,000 of 10,000 (80%), 100/s, 0:00:20 left; accuracy 59",
    ]


def test_work_of_seconds_and_quiet_work_leave_no_line(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    with progress.bar("trials", 5) as shown:
        for done in range(6):
            shown(done)
        shown.tell(["accuracy 1"])
    assert log.getvalue() == ""
    progress.console.quiet = True
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress.bar("trials", 5) as shown:
        shown(1)
        shown(2)
    assert log.getvalue() == ""


def test_slow_steps_have_no_rate(log: io.StringIO) -> None:
    clock = Clock()
    lines = progress._Lines("training", 3, clock)
    lines(0)
    clock.now += 4000
    lines(1)
    assert log.getvalue() == "training: 1 of 3 (33%), 2:13:20 left\n"


def on_a_terminal(*arguments: str | Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run the command with a terminal as standard error; and what the terminal got."""
    ours, theirs = pty.openpty()
    command = [*studies.COMMAND, *map(str, arguments)]
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": "200", **environment}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True, env=variables) as process:
        os.close(theirs)
        got = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the last one has closed the terminal
                break
            if not piece:
                break
            got += piece
        out = process.communicate()[0]
    os.close(ours)
    return subprocess.CompletedProcess(command, process.returncode, out), got.decode()


@pytest.fixture
def campaign(tmp_path: Path) -> tuple[str | Path, ...]:
    """A campaign of some seconds, or else a display has nothing to show."""
    study = studies.write_study(tmp_path)
    wanted = ("--require", "accuracy>=0.8475@0.999999", "--require", "sdc1<=0.9", "--until-decided")
    return (
        "campaign",
        study,
        "--verify",
        "0",
        "--out",
        tmp_path,
        "--trials",
        "200",
        "--simulator",
        "reference",
        *wanted,
    )


def test_a_terminal_shows_trials_rate_intervals_and_the_time_to_a_decision(campaign: tuple[Any, ...]) -> None:
    done, shown = on_a_terminal(*campaign)
    assert done.returncode in (0, 1) and done.stdout.startswith("reference: ")
    assert "requirement accuracy>=0.8475@0.999999" in done.stdout and "\x1b" not in done.stdout
    for part in ("trials", "/200", "/s", "left", "accuracy>=0.8475@0.999999: 0.8", "sdc1<=0.9@0.95: 0.", ", met"):
        assert part in shown, part
    assert "undecided, about " in shown and "to its decision" in shown


@pytest.mark.parametrize("how", ["quiet", "log", "forced colours"])
def test_elsewhere_nothing_is_shown(how: str, campaign: tuple[Any, ...]) -> None:
    arguments = (*campaign, "--trials", "50")  # the last one counts
    if how == "quiet":
        _, shown = on_a_terminal("--quiet", *arguments)
        assert shown == ""
        return
    forced = {"FORCE_COLOR": "1", "CI": "true"} if how == "forced colours" else {}
    quiet = studies.codesign(*arguments, env={**os.environ, **forced})
    assert quiet.stdout.startswith("reference: ") and quiet.stderr == ""


# ---------------------------------------------------------------- what is shown of a campaign


def trials(correct: list[int], sdc1: list[int] | None = None) -> CountArray:
    rows = np.zeros(len(correct), COUNTS)
    rows["correct"], rows["sdc1"] = correct, sdc1 or 0
    return rows


def test_the_interval_is_that_of_all_trials_so_far() -> None:
    told: list[list[str]] = []
    clock = Clock()
    watch = Watch((), 10, 0.95, told.append, clock)
    watch(trials([]), None)
    watch(trials([9, 10]), None)
    clock.now += 1000
    watch(trials([10] * 98), None)
    assert [len(lines) for lines in told] == [1, 1]
    assert told[0][0].startswith("accuracy 0.95000 [") and told[1][0].startswith("accuracy 0.99900 [")


def test_a_forecast_counts_the_trials_and_the_time_that_are_left() -> None:
    told: list[list[str]] = []
    clock = Clock()
    required = Requirement.parse_all(["accuracy>=0.9@0.99", "sdc1<=0.9"])
    stopping = Stopping(required, 100)
    watch = Watch(required, 100, 0.95, told.append, clock)
    watch(trials([]), stopping)
    generator = np.random.default_rng(3)
    rows = trials(generator.binomial(100, 0.91, 40).tolist())
    stopping.update(rows)
    clock.now += 2
    watch(rows, stopping)
    [[first, second]] = told
    assert first.startswith("accuracy>=0.9@0.99: 0.9") and "undecided, about " in first
    assert second.endswith(", met")
    more, seconds = int(first.split("about ")[1].split()[0]), first.split("(")[1].split(")")[0]
    assert seconds == progress.duration(more * 2 / 40)


def test_lines_are_made_seldom() -> None:
    """However often trials come: twice a second, and a hundredth of the time at most."""
    told: list[list[str]] = []
    clock = Clock()

    def tell(lines: list[str]) -> None:
        told.append(lines)
        clock.now += 0.1  # as long as the lines take

    watch = Watch((), 10, 0.95, tell, clock)
    for _ in range(10_000):
        clock.now += 0.01
        watch(trials([9]), None)
    assert 8 <= len(told) <= 11
