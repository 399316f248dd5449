"""Stages of a build: run one after the other, each kept as long as what it was made from is the same.

The state stands in `build.json`, written after each stage, so that an interrupted or failed build goes on where it
stopped.
"""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codesign.board.build_steps import step_of
from codesign.board.package import file_digest
from codesign.errors import ConfigError, ToolError
from codesign.files import digest_of, locked, write_atomically
from codesign.progress import bar, duration, say
from codesign.resources.tool_run import LIMIT_S, run_tool

STATE = "build.json"


@dataclass(frozen=True)
class Need:
    """A tool: the names that it can have, the best one first, and which releases of it will do."""

    names: tuple[str, ...]
    release: str

    def path(self) -> str | None:
        """Where it is, if it is on the PATH."""
        return next((path for name in self.names if (path := shutil.which(name))), None)

    def __str__(self) -> str:
        return f"{' or '.join(self.names)} ({self.release})"


@dataclass(frozen=True)
class Stage:
    """A command in the project's folder and the tools that it needs.

    `inputs` and `outputs` are patterns of files in the folder; for each of them there has to be one.
    """

    name: str
    title: str
    command: tuple[str, ...]
    needs: tuple[Need, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Done:
    """A finished stage: what it was made from, its outputs by their SHA-256, the tools and how long it took."""

    key: str
    outputs: dict[str, str]
    tools: list[str]
    seconds: float


@dataclass(frozen=True)
class Builder:
    """Runs stages in `project`, keeps their state and logs in `folder`."""

    folder: Path
    project: Path
    limit_s: float = LIMIT_S

    @property
    def logs(self) -> Path:
        """One log a stage; those of earlier runs have a number."""
        return self.folder / "logs"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else builds here meanwhile."""
        with locked(self.folder / ".lock", "give another folder with --out", wait=False):
            yield

    def run(self, stages: Sequence[Stage], what: str) -> list[Done]:
        """Run every stage that is not there yet.

        Raises ToolError, saying what is missing, before anything runs if a tool is not there; and for a stage that
        fails or does not write what it should.
        """
        self.demand(stages)
        state, before, done = self.state(), "", []
        with bar(what, len(stages)) as shown:
            for number, stage in enumerate(stages):
                shown(number)
                key = self._key(stage, before)
                found = state.get(stage.name)
                if found and found.key == key and self._holds(found):
                    say(f"{stage.title}: done before, nothing has changed")
                else:
                    found = self._run(stage, key, lambda step, title=stage.title: shown.tell([f"{title}: {step}"]))
                    state[stage.name] = found
                    self._write(state)
                before = digest_of(before, key, json.dumps(found.outputs, sort_keys=True))
                done.append(found)
        return done

    def demand(self, stages: Sequence[Stage]) -> None:
        """Raise ToolError naming every tool that is missing."""
        missing = [(need, stage) for stage in stages for need in stage.needs if need.path() is None]
        if missing:
            names = dict.fromkeys(str(need) for need, _ in missing)
            raise ToolError(f"not on the PATH: {', '.join(names)}", [*missing[0][0].names])

    def state(self) -> dict[str, Done]:
        """The stages that were finished, by name; what cannot be read is as if it were not there."""
        try:
            found = json.loads((self.folder / STATE).read_text())["stages"]
            return {name: Done(**one) for name, one in found.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}

    def _write(self, state: dict[str, Done]) -> None:
        document = {"stages": {name: asdict(one) for name, one in state.items()}}
        write_atomically(self.folder / STATE, json.dumps(document, indent=1) + "\n")

    def _key(self, stage: Stage, before: str) -> str:
        """Of everything that a stage is made from: tool, command, files and the stages before it."""
        parts = [stage.name, before, *(str(Path(tool).resolve()) for tool in _tools(stage)), *stage.command]
        for path in self._files(stage.inputs, stage, "is missing: write the project again"):
            parts += [path.relative_to(self.project).as_posix(), file_digest(path)]
        return digest_of(*parts)

    def _files(self, patterns: Sequence[str], stage: Stage, otherwise: str) -> list[Path]:
        found: list[Path] = []
        for pattern in patterns:
            files = sorted(path for path in self.project.glob(pattern) if path.is_file())
            if not files:
                raise ConfigError(f"{stage.title}: {self.project / pattern} {otherwise}")
            found += files
        return found

    def _holds(self, done: Done) -> bool:
        paths = {name: self.project / name for name in done.outputs}
        return all(path.is_file() and file_digest(path) == done.outputs[name] for name, path in paths.items())

    def _run(self, stage: Stage, key: str, tell: Any) -> Done:
        log, tools = _next_log(self.logs, stage.name), _tools(stage)
        say(f"{stage.title}: {', '.join(tools)} by {' '.join(stage.command)} in {self.project}; log: {log}")
        for pattern in stage.outputs:  # what an earlier run left must not pass for this one's
            for path in self.project.glob(pattern):
                path.unlink()
        began = time.monotonic()

        def watch(line: str) -> None:
            if step := step_of(line):
                tell(step)

        run_tool(stage.command, self.project, log, self.limit_s, watch)
        outputs = self._files(stage.outputs, stage, f"was not written; log: {log}")
        seconds = time.monotonic() - began
        say(f"{stage.title}: done in {duration(seconds)}")
        sums = {path.relative_to(self.project).as_posix(): file_digest(path) for path in outputs}
        return Done(key, sums, tools, round(seconds, 1))


def _tools(stage: Stage) -> list[str]:
    return [path for need in stage.needs if (path := need.path())]


def _next_log(folder: Path, name: str) -> Path:
    """A free place for a log; that of the run before gets a number."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.log"
    if path.exists():
        number = 1 + sum(1 for _ in folder.glob(f"{name}.*.log"))
        path.rename(folder / f"{name}.{number}.log")
    return path
