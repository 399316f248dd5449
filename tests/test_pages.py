"""Every command and every snippet in the documentation runs; `stages.py` says on what, and names the few that do not.

A page has one folder, in which its blocks run in their order: lines of `sh` blocks as somebody would type them, and
`python` blocks in one namespace. A `text output` block holds lines that the block before it prints, a `text like` one
the same with other numbers. Snippets of TOML are put into a study, which has to be accepted.
"""

import contextlib
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import stages
import yaml
from pages import BLOCKS, ROOT, Block, blocks, typed

from codesign.campaign.fit_table import FitTable
from codesign.cli import run
from codesign.errors import ConfigError
from codesign.study import load_study

Captured = pytest.CaptureFixture[str]
# Blocks that are run alone, by tests/test_docs.py.
ALONE = {"runnable", "pytest"}


# This one is walked through by tests/test_own_model.py, which looks at what comes out.
OWN_MODEL = "docs/own_model.md"


@dataclass
class Walk:
    """Through one page: where it is, and what the last block printed."""

    page: str
    stage: stages.Stage
    captured: Captured
    names: dict[str, Any] = field(default_factory=dict)
    printed: str | None = None

    def __post_init__(self) -> None:
        self.folder = self.stage.folder
        exec(textwrap.dedent(stages.GIVEN.get(self.page, "")), self.names)

    def block(self, block: Block) -> None:
        """Run it, if it is of a kind that runs."""
        ways = {"sh": self.shell, "python": self.python, "toml": self.toml, "json": self.json, "yaml": self.workflow}
        if block.words[1:] in (("output",), ("like",)) and self.printed is not None:
            self.compare(block, self.printed)
        if block.language in ways:
            self.printed = None
            if not ALONE & set(block.words):
                with contextlib.chdir(self.folder):
                    ways[block.language](block)

    def shell(self, block: Block) -> None:
        lines = typed(self.replaced(block.body))
        self.printed = "".join(self.line(line) for line in lines if reason(line) is None)

    def line(self, line: str) -> str:
        """What a line prints; its exit code has to be the one that is expected."""
        if line.startswith("cd "):
            self.folder = (self.folder / line.removeprefix("cd ")).resolve()
            os.chdir(self.folder)
        elif line.startswith("git clone "):
            stages.write_models(self.folder / line.split()[-1])  # what of a clone the docs need
        elif line.startswith("make "):
            return "".join(self.line(step) for step in recipe(line.split()[1]))
        elif (service := next((name for name in stages.SERVICES if line.startswith(name)), None)) is not None:
            self.start(line, self.folder / stages.SERVICES[service])
        else:
            code, out, err = self.codesign(line) if line.startswith("codesign ") else process(line)
            places = stages.EXIT_CODES.items()
            expected = next((code for (page, start), code in places if page == self.page and line.startswith(start)), 0)
            assert code == expected, f"{self.page}: {line}\nended with {code}\n{out}\n{err}"
            return err + out
        return ""

    def codesign(self, line: str) -> tuple[int, str, str]:
        self.captured.readouterr()
        code = run(shlex.split(line)[1:])
        return code, *self.captured.readouterr()

    def start(self, line: str, sign: Path) -> None:
        """What goes on until the page is over."""
        service = subprocess.Popen(shlex.split(line), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stage.stack.callback(service.wait, 30)
        self.stage.stack.callback(service.terminate)
        end = time.monotonic() + 60
        while not sign.exists():
            assert time.monotonic() < end, f"{self.page}: {line}: no {sign}"
            time.sleep(0.05)

    def python(self, block: Block) -> None:
        body = self.replaced(block.body)
        if reason(body) is None:
            self.captured.readouterr()
            importlib.invalidate_caches()  # a command before it may have made what it imports
            exec(compile(body, block.where, "exec"), self.names)
            self.printed = self.captured.readouterr().out

    def toml(self, block: Block) -> None:
        if "fit_per_bit" in tomllib.loads(block.body):
            (self.folder / "fit.toml").write_text(block.body)
            FitTable.load(self.folder / "fit.toml")
        else:
            load_study(stages.study_with(self.folder, block.body))

    def json(self, block: Block) -> None:
        """A fault list: what a real one has, and nothing else."""
        self.line(f"codesign faults models/{stages.TOP}.toml --trial 7 --out case")
        shown, written = json.loads(block.body), json.loads((self.folder / "case/faults.json").read_text())
        assert list(shown) == list(written) and shown["columns"] == written["columns"], block.where

    def workflow(self, block: Block) -> None:
        """The steps that call codesign."""
        jobs = yaml.safe_load(block.body)["jobs"].values()
        steps = [step["run"] for job in jobs for step in job["steps"] if "codesign campaign" in step.get("run", "")]
        assert steps
        for line in (line for step in steps for line in typed(step)):
            self.line(line)

    def compare(self, block: Block, printed: str) -> None:
        """The lines of a block are printed in their order; `like` one does not look at numbers, digests and gaps."""
        alike = _alike if "like" in block.words else str
        lines = iter([alike(line) for line in printed.splitlines()])
        for line in block.body.splitlines():
            assert alike(line) in lines, f"{block.where}: not printed, or not in this order: {line}\n{printed}"

    def replaced(self, text: str) -> str:
        for old, new in (*stages.REPLACED.get(self.page, ()), *self.stage.words.items()):
            text = text.replace(old, new)
        return text


def reason(line: str) -> str | None:
    """Why a line, or a block of Python, is not run."""
    return next((why for start, why in stages.NOT_RUN.items() if line.startswith(start)), None)


def recipe(target: str) -> list[str]:
    """What `make` runs for a target; the environment's own tools are on the PATH."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found, target
    return [line.strip().replace("$(BIN)/", "") for line in found[1].splitlines()]


def _alike(line: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"-?[\d.,]*\d(e-?\d+)?", "#", line)).strip()


def process(line: str) -> tuple[int, str, str]:
    done = subprocess.run(["sh", "-e", "-c", line], capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout, done.stderr


# ---------------------------------------------------------------- the pages


def pages() -> list[object]:
    """Each page that has something to run, under the markers that it needs."""
    names = dict.fromkeys(block.page for block in BLOCKS if block.language != "text" and block.page != OWN_MODEL)
    marks = {name: [getattr(pytest.mark, word) for word in stages.MARKS.get(name, ())] for name in names}
    return [pytest.param(name, id=name, marks=marks[name]) for name in names]


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as found:
        yield found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, _cache: None) -> Path:
    """The study and the run of `make demo`. Copy it."""
    return stages.finished(tmp_path_factory.mktemp("demo"), "runs/demo")


@pytest.mark.parametrize("page", pages())
def test_the_blocks_run_in_their_order(
    page: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
    stack: contextlib.ExitStack,
    request: pytest.FixtureRequest,
) -> None:
    for module, extra in stages.NEEDS.get(page, {}).items():
        pytest.importorskip(module, reason=f"needs {module}: pip install 'codesign[{extra}]'")
    places = (stages.tools(tmp_path / "tools"), Path(sys.executable).parent, "/usr/bin", "/bin")
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, places)))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the processes that a page starts
    folder = tmp_path / "page"
    folder.mkdir()
    stage = stages.Stage(folder, lambda: request.getfixturevalue("demo"), stack)
    stages.PREPARE.get(page, lambda _: None)(stage)
    walk = Walk(page, stage, capsys)
    for block in blocks(ROOT / page):
        walk.block(block)


def test_what_the_tables_name_is_in_the_pages() -> None:
    """So that nothing stays in them for which there is no reason any more."""
    lines = [line for block in BLOCKS if block.language == "sh" for line in typed(block.body)]
    snippets = [block.body for block in BLOCKS if block.language == "python"]
    for start in stages.NOT_RUN:
        assert any(text.startswith(start) for text in (*lines, *snippets)), start
    for page, words in stages.REPLACED.items():
        body = "\n".join(typed("\n".join(block.body for block in blocks(ROOT / page))))
        assert [old for old, _ in words if old not in body] == [], page
    known = {block.page for block in BLOCKS}
    tables = (stages.PREPARE, stages.MARKS, stages.NEEDS, stages.GIVEN)
    assert {page for table in tables for page in table} | {page for page, _ in stages.EXIT_CODES} <= known


def test_every_block_is_of_a_kind_that_is_known() -> None:
    kinds = {"sh", "python", "text", "toml", "json", "yaml"}
    words = {*ALONE, "output", "like", "cxx", "tf", "slow"}
    wrong = [block.where for block in BLOCKS if block.language not in kinds or not set(block.words[1:]) <= words]
    assert wrong == []


# ---------------------------------------------------------------- the walk itself


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (("sh",), "codesign optimise models/digits_mlp.toml\n"),
        (("sh",), "no-such-program --help\n"),
        (("python",), "import no_such_module\n"),
        (("toml",), "[objective]\nluts = 1.0\n"),
    ],
    ids=["command", "program", "python", "toml"],
)
def test_what_does_not_work_would_be_seen(
    words: tuple[str, ...], body: str, tmp_path: Path, capsys: Captured, stack: contextlib.ExitStack
) -> None:
    stage = stages.Stage(tmp_path, lambda: tmp_path, stack)
    stage.take_study()
    with pytest.raises((AssertionError, ImportError, ConfigError)):
        Walk("page", stage, capsys).block(Block("page", 1, words, body))


def test_other_output_would_be_seen(tmp_path: Path, capsys: Captured, stack: contextlib.ExitStack) -> None:
    walk = Walk("page", stages.Stage(tmp_path, lambda: tmp_path, stack), capsys)
    walk.block(Block("page", 1, ("python",), "print('one')\nprint('two')\n"))
    walk.compare(Block("page", 4, ("text", "output"), "one\ntwo\n"), str(walk.printed))
    with pytest.raises(AssertionError, match="not printed, or not in this order: one"):
        walk.compare(Block("page", 4, ("text", "output"), "two\none\n"), str(walk.printed))
