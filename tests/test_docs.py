"""The documentation does what it says: its programs run, and what it names exists.

A ```` ```python runnable ```` block is run as it stands, in a folder of its own; with `cxx` or `tf` behind it, under
that marker. A ```` ```text output ```` block right behind it is what it has to print; a ```` ```python pytest ````
block is run by pytest in its folder. All other commands and snippets are run by test_pages.py.
"""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pages import BLOCKS, PAGES, ROOT, Block, calls, prose

from codesign import study
from codesign.cli import app

COMMANDS = typer.main.get_command(app).commands
MARKERS = ("cxx", "tf", "slow")
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def runnable() -> list[object]:
    """Each runnable block with the output that is asked of it, or None."""
    found: list[object] = []
    for block, following in zip(BLOCKS, [*BLOCKS[1:], None], strict=True):
        if block.words[:2] == ("python", "runnable"):
            wanted = following.body if following and following.words == ("text", "output") else None
            marks = [getattr(pytest.mark, word) for word in block.words[2:] if word in MARKERS]
            found.append(pytest.param(block, wanted, marks=marks, id=block.where))
    return found


@pytest.mark.parametrize(("block", "wanted"), runnable())
def test_python_blocks_run(block: Block, wanted: str | None, tmp_path: Path) -> None:
    script = tmp_path / "block.py"
    script.write_text(block.body)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{block.where}\n{done.stderr}"
    if wanted is not None:
        assert done.stdout == wanted, block.where


def test_snippets_compile() -> None:
    for block in BLOCKS:
        if block.language == "python":
            compile(block.body, block.where, "exec")


def pytest_blocks() -> list[object]:
    """Each block for pytest, with the runnable one before it."""
    pairs = itertools.pairwise(BLOCKS)
    return [pytest.param(*pair, id=pair[1].where) for pair in pairs if pair[1].words == ("python", "pytest")]


@pytest.mark.parametrize(("before", "block"), pytest_blocks())
def test_pytest_blocks_pass(before: Block, block: Block, tmp_path: Path) -> None:
    (tmp_path / "before.py").write_text(before.body)
    (tmp_path / "test_block.py").write_text(block.body)
    subprocess.run([sys.executable, "before.py"], cwd=tmp_path, check=True)
    command = [sys.executable, "-m", "pytest", "-p", "codesign.pytest_plugin", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run([*command, "--rootdir", "."], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, f"{block.where}\n{done.stdout}"
    assert f"{len(re.findall('^def test_', block.body, re.MULTILINE))} passed" in done.stdout


WORKFLOWS = [block for block in BLOCKS if block.words == ("yaml",)]


@pytest.mark.parametrize("block", WORKFLOWS, ids=lambda block: block.where)
def test_workflows_are_such(block: Block) -> None:
    """YAML with the keys that GitHub asks for, and commands that exist."""
    workflow = yaml.safe_load(block.body)
    assert set(workflow) == {"name", True, "permissions", "jobs"}  # YAML 1.1 reads `on` as a truth value
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(job["runs-on"] for job in workflow["jobs"].values())
    assert all(("uses" in step) != ("run" in step) for step in steps)
    found = [call for step in steps for call in calls(step.get("run", ""))]
    assert found and [wrong for call in found if (wrong := wrong_in(call))] == []


def test_there_is_a_workflow() -> None:
    assert [block.page for block in WORKFLOWS] == ["docs/ci.md"]


# ---------------------------------------------------------------- the command line


def options_of(command: Any) -> set[str]:
    return {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


GLOBAL_OPTIONS = options_of(typer.main.get_command(app))


def wrong_in(call: list[str]) -> str | None:
    """What a call names that does not exist; `COMMAND` stands for any command."""
    flags = [word.split("=")[0] for word in call if word.startswith("-")]
    name = next((word for word in call if not word.startswith("-")), None)
    if name is None or name == "COMMAND":
        known = GLOBAL_OPTIONS
    elif name in COMMANDS:
        known = options_of(COMMANDS[name]) | GLOBAL_OPTIONS
    else:
        return f"no command {name}"
    return next((f"{name} has no option {flag}" for flag in flags if flag not in known), None)


def test_commands_and_options_in_the_docs_exist() -> None:
    found = [
        (block.where, call) for block in BLOCKS if block.words[:1] in (("sh",), ("bash",)) for call in calls(block.body)
    ]
    for page in PAGES:
        inline = [code for code in _INLINE.findall(prose(page)) if code.startswith("codesign ")]
        found += [(page.name, call) for code in inline for call in calls(code)]
    assert len(found) > 10
    assert [f"{where}: {wrong}" for where, call in found if (wrong := wrong_in(call))] == []


def test_lone_options_in_prose_exist() -> None:
    known = GLOBAL_OPTIONS.union(*map(options_of, COMMANDS.values()))
    for page in PAGES:
        for code in _INLINE.findall(prose(page)):
            if code.startswith("--"):
                assert code.split()[0] in known, f"{page.name}: {code}"


def test_a_wrong_command_or_option_would_be_seen() -> None:
    assert wrong_in(["optimise", "x.toml"]) == "no command optimise"
    assert wrong_in(["report", "runs/demo", "--csv"]) == "report has no option --csv"
    assert wrong_in(["--quiet", "campaign", "x.toml", "--trials=5"]) is None


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_option_is_documented(name: str) -> None:
    text = (ROOT / "docs/commands.md").read_text()
    section = re.search(rf"^## codesign {name}\b.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, f"docs/commands.md has no section on {name}"
    for option in options_of(COMMANDS[name]) - GLOBAL_OPTIONS:
        if option.startswith("--"):
            assert f"`{option}`" in section[0], f"{name} {option}"
    assert wrong_options(section[0], name) == []


def wrong_options(section: str, name: str) -> list[str]:
    """Options that a section names and the command does not have."""
    named = {code.split()[0] for code in _INLINE.findall(section) if code.startswith("--")}
    return sorted(named - options_of(COMMANDS[name]))


# ---------------------------------------------------------------- the study file


@pytest.mark.parametrize("name", sorted(study._File.model_fields))
def test_every_study_key_is_documented(name: str) -> None:
    text = (ROOT / "docs/study.md").read_text()
    kind = study._section_kind(name)
    if kind is None:
        assert f"| `{name}` |" in text
        return
    section = re.search(rf"^## \[{name}\]$.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, f"docs/study.md has no section [{name}]"
    column = 2 if name == "space" else 1
    rows = [row.split("|") for row in section[0].splitlines() if row.startswith("|")]
    documented = {found[1] for row in rows if (found := re.fullmatch(r"\s*`(\w+)`\s*", row[column]))}
    assert documented == set(kind.model_fields)


@pytest.mark.parametrize("name", sorted(study._DOMAINS))
def test_documented_variables_have_the_range_that_is_available(name: str) -> None:
    domain = study._DOMAINS[name]
    row = re.search(rf"^\| \w+ \| `{name}` \|[^|]*\|([^|]*)\|", (ROOT / "docs/study.md").read_text(), re.MULTILINE)
    assert row
    if domain.kind == "categorical":
        assert tuple(re.findall(r"`(\w+)`", row[1])) == domain.choices
    else:
        numbers = [int(number) for number in re.findall(r"\d+", row[1])]
        assert numbers == sorted({int(domain.low), int(domain.high)})


# ---------------------------------------------------------------- everything else


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", prose(target), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, link
    for call in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE):
        assert call in targets, f"{page.name}: make {call}"
    for code in _INLINE.findall(prose(page)):
        if re.fullmatch(r"(tests|benchmarks|scripts|models|boards|docs|hls_templates|codesign)/[\w./-]*\.\w+", code):
            assert (ROOT / code).exists(), f"{page.name}: {code}"


def test_the_demos_figures_are_the_same_on_every_page() -> None:
    """They are from one run."""
    shown = [block.body for block in BLOCKS if "best of 40 designs: number 8" in block.body]
    assert {block.page for block in BLOCKS if block.body in shown} == {"README.md", "docs/tutorial.md"}
    [short, long] = shown
    assert short in long


def test_every_page_is_listed() -> None:
    index = (ROOT / "docs/README.md").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        if page.name != "README.md":
            assert f"({page.relative_to(ROOT / 'docs')})" in index, page.name


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """`make docs`: every page has its place, and no link leads nowhere."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"README"}
    assert pages | {"index"} <= {page.stem for page in (tmp_path / "site").glob("*.html")}
    assert "run_campaign" in (tmp_path / "site/python.html").read_text()
    # Every fence became a block, and every command has its own help.
    assert [page.name for page in (tmp_path / "site").rglob("*.html") if "```" in page.read_text()] == []
    commands = (tmp_path / "site/commands.html").read_text()
    assert [name for name in COMMANDS if f"Usage: codesign {name} " not in commands] == []
