"""The pages of the documentation and their fenced blocks."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """`words` are those of the info string, such as ("python", "runnable"); the first one is the language."""

    page: str
    line: int
    words: tuple[str, ...]
    body: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def language(self) -> str:
        return self.words[0] if self.words else "text"


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            str(page.relative_to(ROOT)),
            text.count("\n", 0, found.start()) + 1,
            tuple(found["info"].split()),
            found["body"],
        )
        for found in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """A page without its blocks."""
    return _FENCE.sub("", page.read_text())


PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [block for page in PAGES for block in blocks(page)]


def typed(text: str) -> list[str]:
    """What somebody types who follows a shell block: continued lines are joined, comments and empty lines dropped."""
    lines = (line.strip() for line in text.replace("\\\n", " ").splitlines())
    return [re.sub(r"\s+#\s.*$", "", line) for line in lines if line and not line.startswith("#")]


def calls(text: str) -> list[list[str]]:
    """The words of every `codesign ...` line."""
    return [shlex.split(line)[1:] for line in typed(text) if line.startswith("codesign ")]
