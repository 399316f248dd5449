"""What the shell offers for an option's value. A table is read when it is asked for, from the module that knows it."""

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

Complete = Callable[[str], list[str]]


def _words(module: str, table: str, *more: str, text: Callable[[Any], str] = str) -> Complete:
    def complete(incomplete: str) -> list[str]:
        known: Iterable[Any] = getattr(import_module(module), table)
        return [word for word in (*map(text, known), *more) if word.startswith(incomplete)]

    return complete


def among(*words: str) -> Complete:
    """These words."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def boards(incomplete: str) -> list[str]:
    """The boards that come with the package; a board file of one's own is completed by the shell."""
    from codesign.assets import asset

    return sorted(path.stem for path in asset("boards").glob(f"{incomplete}*.toml"))


def targets(incomplete: str) -> list[str]:
    """What faults strike."""
    from codesign.faults import Target

    return [target.label for target in Target if target.label.startswith(incomplete)]


simulators = _words("codesign.campaign.simulators", "SIMULATORS")
simulators_and_board = _words("codesign.campaign.simulators", "SIMULATORS", "board")
lifetimes = _words("codesign.faults", "Lifetime")
metrics = _words("codesign.metrics", "METRICS")
scores = _words("codesign.protection", "Importance")
outcomes = _words("codesign.campaign.avf", "OUTCOMES")
backends = _words("codesign.hls.options", "BACKENDS")
io_types = _words("codesign.hls.options", "IO_TYPES")
strategies = _words("codesign.hls.options", "STRATEGIES")
families = _words("codesign.resources.mapping", "FAMILIES")
