"""What `codesign campaign --simulator board` needs besides: where the board is, and what does not go with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codesign.errors import ConfigError

if TYPE_CHECKING:
    from codesign.board.silicon import OnBoard
    from codesign.campaign.requirement import Requirement
    from codesign.subject import Subject

BOARD = "board"


@dataclass(frozen=True)
class Silicon:
    """The options of a board, as they were given."""

    simulator: str
    host: str | None
    user: str | None
    port: int | None
    python: str
    sudo: bool

    @property
    def chosen(self) -> bool:
        return self.simulator == BOARD

    def check(self, others: Mapping[str, object]) -> None:
        """Raise ConfigError for options that do not go together; `others` are those that no board knows."""
        if not self.chosen:
            if self.host is not None:
                raise ConfigError(f"--host goes with --simulator {BOARD}, not with {self.simulator}")
            return
        if self.host is None:
            raise ConfigError(f"--simulator {BOARD}: which one? --host NAME")
        for name, given in others.items():
            if given is not None:
                raise ConfigError(f"{name} does not go with --simulator {BOARD}: one board runs its trials in turn")

    def attack(self, subject: "Subject", requirements: Sequence["Requirement"], trials: int | None) -> "OnBoard":
        """Run the subject's trials on the board and in simulation."""
        from codesign.board.deploy import Way
        from codesign.board.silicon import remote, run_on_board
        from codesign.board.ssh import connect
        from codesign.campaign.silicon import Silicon as Slots
        from codesign.progress import bar

        project = subject.project
        if project is None:
            raise ConfigError(
                f"--simulator {BOARD} takes a project's folder, not {subject.name}: codesign export, with --board, "
                "writes one"
            )
        Slots(project.network, project.plan, project.options.upset_slots)  # refused before anybody is called
        assert self.host is not None
        wanted = trials or subject.trials
        with connect(self.host, self.user, self.port) as link, bar("trials on the board", wanted) as shown:
            run = remote(project, link, Way(self.python, self.sudo))
            given = subject.model, subject.inputs, subject.labels, wanted, run
            return run_on_board(
                project, *given, confidence=subject.confidence, requirements=tuple(requirements), progress=shown
            )
