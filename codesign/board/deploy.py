"""A package onto a board: copied beside its place, checked there, and put into its place only when it is right."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codesign.board.package import RUNTIME, Package
from codesign.board.ssh import Link
from codesign.errors import BoardError
from codesign.progress import say

# Under the home folder of the user who logs in.
FOLDER = "codesign"
PYTHON = "python3"
# Loading a bitstream, and some samples one by one.
CHECK_S = 300.0
# A login shell knows PYNQ's own environment, by /etc/profile.d; $1 is the package.
_LOGIN = 'cd "$1" && shift && exec "$@"'


@dataclass(frozen=True)
class Way:
    """How Python is started on the board: its name or path, and whether as root, which PYNQ needs on Zynq."""

    python: str = PYTHON
    sudo: bool = True


@dataclass(frozen=True)
class Deployed:
    """Where the package stands now, None if it differs from the C-simulation, and what the board's check said."""

    remote: str | None
    answer: dict[str, Any]


def deploy(package: Package, link: Link, way: Way, samples: int | None = None) -> Deployed:
    """Copy a package, let the board check it, and let it take the place of an older one if it is right.

    Raises BoardError when the board cannot do that. Whatever happens, nothing half-copied and nothing that failed its
    check is left in the package's place.
    """
    remote = f"{home(link)}/{FOLDER}/{package.name}"
    prefix = privileges(link, way)
    say(f"copying {package.name} ({package.size / 1e6:,.1f} MB) to {link.target}")
    staging = link.stage(package.folder, remote)
    try:
        say(f"checking it on {link.target}")
        count = [] if samples is None else ["--samples", str(samples)]
        found, answer = run_runtime(link, staging, ["check", "--json", *count], way, prefix)
        if found:
            link.install(staging, remote)
    except BaseException:
        _discard(link, staging)
        raise
    if not found:
        _discard(link, staging)
    return Deployed(remote if found else None, answer)


def home(link: Link) -> str:
    """The home folder of the user who logged in."""
    told = link.run(["sh", "-c", "cd && pwd"])
    path = told.stdout.strip()
    if told.exit or not path.startswith("/"):
        raise BoardError(f"{link.target}: no home folder: {told.words}")
    return path


def privileges(link: Link, way: Way) -> list[str]:
    """What stands before a command that needs root. Raises BoardError when nobody lets us be it."""
    if not way.sudo or link.run(["id", "-u"]).stdout.strip() == "0":
        return []
    if (told := link.run(["sudo", "-n", "true"])).exit:
        user = link.target.user
        raise BoardError(
            f"{link.target}: PYNQ needs root to reach the hardware, and sudo says: {told.words}. Log in as root, or "
            f"let {user} use sudo without a password: echo '{user} ALL=(ALL) NOPASSWD: ALL' | sudo tee "
            f"/etc/sudoers.d/{user}"
        )
    return ["sudo", "-n"]


def run_runtime(
    link: Link,
    folder: str,
    arguments: Sequence[str],
    way: Way,
    prefix: Sequence[str],
    timeout_s: float = CHECK_S,
) -> tuple[bool, dict[str, Any]]:
    """Run `python -m codesign_runtime FOLDER ARGUMENTS` on the board; whether it is content, and its JSON document.

    `prefix` is what `privileges` gave. Raises BoardError with the runtime's own words when it cannot do what it is
    asked for.
    """
    limited = ["timeout", "-k", "10", str(round(timeout_s))]
    python = [way.python, "-B", "-m", RUNTIME, folder, *arguments]
    told = link.run([*prefix, *limited, "bash", "-lc", _LOGIN, "codesign", folder, *python], timeout_s + 20)
    answer = _json(told.stdout)
    if told.exit in (0, 1) and answer is not None:
        return told.exit == 0, answer
    if told.exit == 124:
        raise BoardError(f"{link.target}: the board took more than {timeout_s:g} s; nothing was installed")
    reason = answer.get("error") if answer else None
    raise BoardError(f"{link.target}: the board's runtime failed (exit code {told.exit}): {reason or told.words}")


def _json(text: str) -> dict[str, Any] | None:
    """The document: all of the output, or its last line where a profile says something, too."""
    for candidate in (text, *text.strip().splitlines()[-1:]):
        try:
            found = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return None


def _discard(link: Link, staging: str) -> None:
    try:
        link.remove(staging)
    except BoardError as error:
        say(f"{staging} is left on the board, beside the package's place: {error}")
