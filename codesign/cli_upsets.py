"""The command `upsets`: mapped netlists with upsets in their LUTs and flip-flops."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign import cli_words
from codesign.cli_common import (
    DESIGN_HELP,
    ActivationBits,
    Bits,
    DataFile,
    Json,
    On,
    Seed,
    csv_text,
    print_json,
)
from codesign.errors import one_of

if TYPE_CHECKING:
    from codesign.campaign.result import CampaignResult
    from codesign.cli_subjects import Design, Setting
    from codesign.resources.mapping import Family
    from codesign.resources.upsets import SingleUpsets, UpsetGroup, UpsetTarget

RATES = (1e-6, 1e-5, 1e-4)


def upsets(
    designs: Annotated[list[str], typer.Argument(metavar="DESIGN...", help=DESIGN_HELP)],
    singles: Annotated[
        int, typer.Option(help="How many single upsets are classified; as many as there are bits takes all.", min=1)
    ] = 10_000,
    rate: Annotated[
        list[float] | None,
        typer.Option(
            help="Upsets a bit in each trial; may be repeated [default: 1e-6, 1e-5 and 1e-4].", show_default=False
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(help="Trials at each rate [default: the study's, or 1000].", min=1, show_default=False),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(help="Only so many samples, the first ones [default: all].", min=1, show_default=False),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(
            help="What Yosys maps to: `xc7` or `xcup` [default: that of the study's board, or xc7].",
            show_default=False,
            autocompletion=cli_words.families,
        ),
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(help="Of the intervals [default: the study's, or 0.95].", show_default=False)
    ] = None,
    on: On = None,
    data: DataFile = None,
    seed: Seed = None,
    weight_bits: Bits = None,
    activation_bits: ActivationBits = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the files go [default: RUN, or runs/ and the name of what is attacked].", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Upset the bits of the mapped netlist: what LUTs hold (configuration memory), and flip-flops.

    Yosys maps each design, which takes minutes at first; its netlist has to equal the network on 256 random inputs and
    the evaluation set. Single upsets are drawn from every layer, cause and kind of bits and classified by the worst
    that they do to any sample: silent (another class, no flag), detected, tolerated (other words, the same class),
    corrected (flagged, all words right) or masked. Essential are those that change a word at all. Then trials with
    upsets at each rate give the accuracy. Routing is not upset.

    Writes upsets.csv and upsets.json into the run folder, whose study.sqlite keeps finished trials: interrupted, the
    same command goes on.
    """
    from codesign.cli_subjects import open_setting
    from codesign.files import write_atomically
    from codesign.subject import Faults

    # Only the seed of the study's fault model is used: a netlist has bits of its own.
    faults = Faults(("accumulator",), RATES[0], None, None, seed)
    widths = {"weight_bits": weight_bits, "activation_bits": activation_bits}
    setting = open_setting(designs, faults, data=data, on=on, out=out, **widths)
    level = setting.confidence if confidence is None else confidence
    rates = tuple(sorted(set(rate or RATES)))
    wanted = _Wanted(_family(family, setting), singles, rates, trials or setting.trials, level, samples)
    found = [wanted.attack(setting, design) for design in setting.subjects]
    stem = setting.folder / "upsets"
    document = {
        "family": wanted.family,
        "seed": setting.model.seed,
        "confidence": level,
        "designs": [one.to_json() for one in found],
    }
    write_atomically(stem.with_suffix(".csv"), csv_text([row for one in found for row in one.table()]))
    write_atomically(stem.with_suffix(".json"), json.dumps(document, indent=1, sort_keys=True) + "\n")
    if as_json:
        return print_json(document)
    for one in found:
        one.print()
    print(f"written: {stem.with_suffix('.csv')}, {stem.with_suffix('.json')}")
    return None


def _family(wanted: str | None, setting: "Setting") -> "Family":
    from codesign.board.boards import load_board
    from codesign.resources.mapping import FAMILIES, family_of

    if wanted is not None:
        return one_of("family", wanted, FAMILIES)
    return family_of(load_board(setting.study.hardware.board).part) if setting.study else FAMILIES[0]


@dataclass(frozen=True)
class _Wanted:
    """What is measured of each design."""

    family: "Family"
    singles: int
    rates: tuple[float, ...]
    trials: int
    confidence: float
    samples: int | None

    def attack(self, setting: "Setting", design: "Design") -> "_Found":
        """Map the design and strike it."""
        import numpy as np

        from codesign.campaign.batches import offset
        from codesign.cli_subjects import DEFAULT_CLOCK_NS
        from codesign.fixed import MAX_WIDTH
        from codesign.progress import bar
        from codesign.resources.estimate import EstimatePolicy
        from codesign.resources.synthesis import synthesise
        from codesign.resources.upsets import UpsetTarget

        clock_ns = setting.study.hardware.clock_ns if setting.study else DEFAULT_CLOCK_NS
        logic = EstimatePolicy(dsp_min_bits=MAX_WIDTH + 1)  # DSPs are not simulated
        synthesis = synthesise(design.network, design.plan, clock_ns=clock_ns, family=self.family, policy=logic)
        inputs, labels = (np.asarray(array)[: self.samples] for array in (setting.inputs, setting.labels))
        target = UpsetTarget(synthesis, design.network, design.plan, inputs, labels, seed=setting.model.seed)
        drawn, results = sum(target.drawn(self.singles)), {}
        with setting.store() as store, bar("upsets", drawn + len(self.rates) * self.trials) as advance:
            singles = target.singles(self.singles, self.confidence, store=store, progress=advance)
            for number, rate in enumerate(self.rates):
                told = offset(advance, drawn + number * self.trials)
                results[rate] = target.at_rate(rate, self.trials, self.confidence, store=store, progress=told)
        return _Found(design.name, target, singles, results)


@dataclass(frozen=True)
class _Found:
    """What was found of a design, for people and machines."""

    name: str
    target: "UpsetTarget"
    singles: "SingleUpsets"
    results: "dict[float, CampaignResult]"

    def to_json(self) -> dict[str, Any]:
        space = self.target.space
        points = [
            {
                "rate": rate,
                "upsets": rate * space.size,
                "trials": result.trials,
                "accuracy": result.accuracy.to_json(),
                "sdc1": result.sdc1.to_json(),
                "outcomes": {name: share.to_json() for name, share in result.outcomes.items()},
            }
            for rate, result in self.results.items()
        ]
        return {
            "name": self.name,
            "network": self.target.network.digest,
            "plan": self.target.plan.digest,
            "bits": {"lut": space.lut_bits, "ff": space.size - space.lut_bits},
            "samples": self.target.samples,
            "cycles": self.target.cycles,
            "accuracy_clean": self.target.accuracy_clean,
            "singles": self.singles.to_json(),
            "rates": points,
        }

    def table(self) -> list[dict[str, Any]]:
        """A row for every layer, cause and kind of bits."""
        rows = []
        for group in self.singles.groups(layer=True, cause=True, kind=True):
            intervals = {"essential": group.essential, **group.classes, "answers": group.answers}
            shares = {
                f"{name}{end}": getattr(share, part)
                for name, share in intervals.items()
                for end, part in (("", "mean"), ("_low", "low"), ("_high", "high"))
            }
            place = {"layer": group.layer, "cause": group.cause, "kind": group.kind}
            rows.append({"design": self.name, **place, "bits": group.bits, "drawn": group.drawn, **shares})
        return rows

    def print(self) -> None:
        from codesign.campaign.verdict import bounds
        from codesign.resources.equivalence import VECTORS

        space, singles = self.target.space, self.singles
        drawn = sum(map(len, singles.rows))
        print(f"{self.name}: {space.lut_bits:,} bits in LUTs, {space.size - space.lut_bits:,} flip-flops")
        print(f"netlist equals the network on {VECTORS} random inputs and {self.target.samples} samples")
        print(f"{drawn:,} single upsets, seed {space.seed}; intervals at {100 * singles.confidence:.6g}%")
        head = f"{'bits of':<22}{'bits':>10}{'drawn':>8}  {'essential':<27}  {'silent':<27}"
        print(f"\n{head}{'detected':>9}{'corrected':>10}{'masked':>8}")
        for groups in (
            singles.groups(),
            singles.groups(kind=True),
            singles.groups(cause=True),
            singles.groups(layer=True),
        ):
            for group in groups:
                self._print_group(group)
        print(f"\n{'rate':>10}{'upsets':>10}  {'accuracy':<27}  sdc1")
        for rate, result in self.results.items():
            print(f"{rate:>10.6g}{rate * space.size:>10.4g}  {bounds(result.accuracy):<27}  {bounds(result.sdc1)}")
        print(f"accuracy without upsets {self.target.accuracy_clean:.4f}; {result.trials} trials at each rate\n")

    def _print_group(self, group: "UpsetGroup") -> None:
        from codesign.campaign.verdict import bounds

        shares = group.classes
        title = next((name for name in (group.layer, group.cause, group.kind) if name is not None), "all")
        few = f"{shares['detected'].mean:>9.4f}{shares['corrected'].mean:>10.4f}{shares['masked'].mean:>8.4f}"
        print(
            f"{title or 'between layers':<22}{group.bits:>10,}{group.drawn:>8,}  {bounds(group.essential):<27}  "
            f"{bounds(shares['silent']):<27}{few}"
        )
