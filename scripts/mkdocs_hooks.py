"""What the site shows and the files do not hold: each command's own help; and what the files say to the tests only."""

import contextlib
import io
import os
import re

from codesign.cli import run

WIDTH = "100"


def on_page_markdown(markdown: str, *, page: object, **_: object) -> str:
    """Called by MkDocs for each page."""
    if getattr(getattr(page, "file", None), "src_uri", "") == "commands.md":
        markdown = with_help(markdown)
    return plain_fences(markdown)


def plain_fences(markdown: str) -> str:
    """Only the language of a fence: words behind it, such as `runnable`, would keep the block from being one."""
    return re.sub(r"^```(\w+)(?: \w+)+$", r"```\1", markdown, flags=re.MULTILINE)


def with_help(markdown: str) -> str:
    """Under each heading of a command what `codesign COMMAND --help` prints, folded."""

    def below(heading: re.Match[str]) -> str:
        text = "\n".join(f"    {line}".rstrip() for line in ["```text", *help_of(heading[1]).splitlines(), "```"])
        return f'{heading[0]}\n\n??? note "codesign {heading[1]} --help"\n\n{text}\n'

    return re.sub(r"^## codesign (\w+).*$", below, markdown, flags=re.MULTILINE)


def help_of(name: str) -> str:
    """What `codesign NAME --help` prints where there is no terminal."""
    before, output = os.environ.get("COLUMNS"), io.StringIO()
    os.environ["COLUMNS"] = WIDTH
    try:
        with contextlib.redirect_stdout(output):
            code = run([name, "--help"])
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    if code or not output.getvalue():
        raise RuntimeError(f"codesign {name} --help ended with {code}")
    return "\n".join(line.rstrip() for line in output.getvalue().strip().splitlines())
