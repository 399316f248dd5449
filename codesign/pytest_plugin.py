"""Pytest's way to fault campaigns: the fixture `codesign_campaign`. Imports nothing heavy until a test uses it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from codesign.campaign.result import CampaignResult
    from codesign.campaign.simulators import SimulatorName


@pytest.fixture(scope="session")
def codesign_campaign(pytestconfig: pytest.Config) -> "Callable[..., CampaignResult]":
    """Attack a network with faults and fail unless every requirement is met; the arguments are those of `Gate`."""
    return Gate(pytestconfig.rootpath)


class Gate:
    """What the fixture gives. Relative paths start at pytest's root folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(
        self,
        what: str | Path,
        *require: str,
        data: str | Path | None = None,
        plan: str | Path | None = None,
        targets: Sequence[str] = (),
        ber: float | None = None,
        n_flips: int | None = None,
        lifetime: str | None = None,
        seed: int | None = None,
        weight_bits: int | None = None,
        activation_bits: int | None = None,
        trials: int | None = None,
        until_decided: bool = False,
        simulator: "SimulatorName" = "engine",
        verify: int = 0,
        out: str | Path | None = None,
    ) -> "CampaignResult":
        """Run a campaign of a study, a project or a saved network, as `codesign campaign` does, and give its result.

        The arguments are that command's options; `require` are texts such as 'accuracy>=0.95@0.99'. Unlike there,
        nothing is replayed on the csim unless `verify` says so, and trials are kept only in a run folder `out`. The
        test fails with a line on each requirement if one is violated or undecided, and with one line for bad input.
        """
        from codesign.campaign.requirement import Requirement
        from codesign.errors import CodesignError
        from codesign.subject import Faults, open_subject

        __tracebackhide__ = True
        faults = Faults(targets, ber, n_flips, lifetime, seed)
        try:
            requirements = Requirement.parse_all(require)
            subject = open_subject(
                self._root / what,
                data=self._at(data),
                plan=self._at(plan),
                faults=faults,
                weight_bits=weight_bits,
                activation_bits=activation_bits,
                stores=out is not None,
                folder=self._at(out),
            )
            result = subject.attack(
                requirements,
                trials=trials,
                until_decided=until_decided,
                simulator=simulator,
                replayed=verify,
                folder=self._at(out),
            )
        except CodesignError as error:
            raise pytest.fail.Exception(f"codesign: {error}", pytrace=False) from None  # one line, without ours
        if not result.met:
            pytest.fail("\n".join(["requirements are not met", *map(str, result.findings())]), pytrace=False)
        return result

    def _at(self, path: str | Path | None) -> Path | None:
        return None if path is None else self._root / path
