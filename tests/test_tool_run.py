"""Running a tool: its log is watched line by line."""

import sys
from pathlib import Path

import pytest

from codesign.errors import ToolError
from codesign.resources.tool_run import run_tool

WRITES_SLOWLY = """
import sys, time
for piece in ("one\\n", "tw", "o\\r\\n", "\\xff three\\n", "no end of line"):
    sys.stdout.buffer.write(piece.encode("latin-1")); sys.stdout.flush(); time.sleep(0.1)
"""


def test_each_line_is_shown_once_as_it_appears(tmp_path: Path) -> None:
    seen: list[str] = []
    run_tool([sys.executable, "-c", WRITES_SLOWLY], tmp_path, tmp_path / "log", watch=seen.append)
    assert seen == ["one", "two", "\N{REPLACEMENT CHARACTER} three"]
    assert (tmp_path / "log").read_bytes().endswith(b"three\nno end of line")


def test_the_environment_is_added_to(tmp_path: Path) -> None:
    run_tool(["sh", "-c", 'echo "$EXTRA $PATH"'], tmp_path, tmp_path / "log", environment={"EXTRA": "more"})
    words = (tmp_path / "log").read_text().split()
    assert words[0] == "more" and len(words) == 2


def test_what_cannot_be_started_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("not a program")
    for command in ("./tool", "no-such-tool"):
        with pytest.raises(ToolError, match=f"{command} cannot be started: (Permission denied|No such file)"):
            run_tool([command], tmp_path, tmp_path / "log")
