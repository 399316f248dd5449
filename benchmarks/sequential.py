"""Trials that the sequential rule needs, against campaigns of a fixed size, over synthetic campaigns of known truth.

Fixed are Leveugle's size (a trial as his fault, half the distance between truth and bound as margin, the bound as rate)
and the least number of trials after which the interval of `rate_interval`, looked at once, decides rightly in 9 of 10
campaigns. The first knows the distance beforehand, the second the distance and the distribution: only who has run the
campaign already can fix that size.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from timing import parser_of, table

from codesign.campaign.requirement import Requirement, Status
from codesign.campaign.sampling import sample_size
from codesign.campaign.sequential import SequentialTest
from codesign.campaign.statistics import rate_interval

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from clusters import Cluster, Mixture

Setting = Cluster | Mixture
CASES: list[tuple[str, str, Setting]] = [
    ("clear", "accuracy>=0.95@0.99", Cluster(0.99, 0.1, 50_000, 360)),
    ("clear", "accuracy>=0.95@0.99", Cluster(0.97, 0.02, 50_000, 360)),
    ("clear", "accuracy>=0.95@0.99", Cluster(0.9, 0.1, 50_000, 360)),
    ("clear", "sdc1<=1e-3@0.95", Cluster(1e-4, 0.1, 50_000, 100)),
    ("clear", "sdc1<=1e-3@0.95", Cluster(0.01, 0.1, 50_000, 100)),
    ("clear", "sdc1<=0.01@0.95", Mixture(0.002, 0.9, 0.0, 50_000, 360)),
    ("close", "accuracy>=0.95@0.99", Cluster(0.955, 0.02, 50_000, 360)),
    ("close", "accuracy>=0.95@0.99", Cluster(0.945, 0.02, 50_000, 360)),
    ("close", "sdc1<=0.01@0.95", Cluster(0.008, 0.02, 50_000, 100)),
]


def right(requirement: Requirement, setting: Setting) -> Status:
    """What is true."""
    return requirement.status(setting.rate, setting.rate)


def decided(requirement: Requirement, setting: Setting, campaigns: int) -> list[tuple[float, Status]]:
    """After how many trials each campaign was decided, and how."""
    generator, found = np.random.default_rng(5), []
    for _ in range(campaigns):
        test = SequentialTest(requirement, setting.samples)
        events = setting.draw(generator)
        for first in range(0, len(events), 500):
            if test.update(events[first : first + 500]) is not Status.UNDECIDED:
                break
        found.append((math.inf if test.decided_at is None else test.decided_at, test.status))
    return found


def looked_at_once(requirement: Requirement, setting: Setting, campaigns: int) -> int:
    """Trials after which the interval decides rightly in 9 of 10 campaigns, within 5 %."""
    generator = np.random.default_rng(6)
    drawn = [setting.draw(generator) for _ in range(campaigns)]

    def enough(trials: int) -> bool:
        intervals = [rate_interval(events[:trials], setting.samples, requirement.confidence) for events in drawn]
        told = [requirement.status(interval.low, interval.high) for interval in intervals]
        return told.count(right(requirement, setting)) >= 0.9 * campaigns

    high = 2
    while not enough(high):
        high *= 2
    low = high // 2
    while high - low > max(1, 0.05 * low):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def measure(campaigns: int) -> list[dict[str, Any]]:
    """One row a case."""
    rows = []
    for kind, text, setting in CASES:
        requirement = Requirement.parse(text)
        margin = abs(setting.rate - requirement.bound) / 2
        fixed = sample_size(margin, requirement.confidence, p=requirement.bound)
        found = decided(requirement, setting, campaigns)
        needed = float(np.median([trials for trials, _ in found]))
        truth = right(requirement, setting)
        rows.append(
            {
                "kind": kind,
                "requirement": text,
                "truth": setting.rate,
                "deviation": math.sqrt(setting.variance),
                "status": truth.value,
                "sequential": needed,
                "sequential_p90": float(np.quantile([trials for trials, _ in found], 0.9, method="higher")),
                "wrong": sum(status not in (truth, Status.UNDECIDED) for _, status in found) / campaigns,
                "leveugle": fixed,
                "interval_once": looked_at_once(requirement, setting, campaigns),
                "saved": fixed / needed,
            }
        )
    return rows


def as_text(rows: list[dict[str, Any]]) -> str:
    """A table in Markdown."""
    head = ["requirement", "truth", "case", "verdict", "sequential", "9 of 10", "Leveugle", "saved", "interval once"]
    lines = [
        [
            row["requirement"],
            f"{row['truth']:g}",
            row["kind"],
            row["status"],
            f"{row['sequential']:,.0f}",
            f"{row['sequential_p90']:,.0f}",
            f"{row['leveugle']:,}",
            f"{row['saved']:.1f}x",
            f"{row['interval_once']:,}",
        ]
        for row in rows
    ]
    return table([head, *lines])


def main() -> None:
    """Measure and print."""
    options = parser_of(__doc__, "few campaigns").parse_args()
    campaigns = 5 if options.quick else 100
    rows = measure(campaigns)
    print(json.dumps({"campaigns": campaigns, "rows": rows}, indent=1) if options.json else as_text(rows))


if __name__ == "__main__":
    main()
