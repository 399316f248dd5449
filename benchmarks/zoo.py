"""Train every study of models/ and write what comes out into docs/models.md.

Figures are of the integer networks: what the whole test set and the estimate say. A study whose data is not there gets
a row that says so.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from timing import table

from codesign.cli_common import merit_of, trained_of, widths_of
from codesign.errors import ConfigError
from codesign.files import write_atomically
from codesign.network import Network
from codesign.protection import ProtectionPlan
from codesign.resources.estimate import estimate
from codesign.study import Study, load_study
from codesign.train.builder import data

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "models.md"
BEGIN, END = "<!-- by benchmarks/zoo.py, not by hand -->\n", "<!-- end -->\n"
HEADER = ["study", "bits", "test samples", "accuracy", "other metric", "training, s", "parameters", "LUT, estimate"]


@dataclass(frozen=True)
class Row:
    """One network of a study; `parameters` are its weights and biases, without scales that are fixed by the model."""

    study: str
    weight_bits: int
    samples: int
    accuracy: float
    metric: str
    metric_clean: float
    seconds: float
    parameters: int
    lut: int

    def cells(self) -> list[str]:
        other = "" if self.metric == "accuracy" else f"{self.metric} {self.metric_clean:.4f}"
        figures = f"{self.seconds:.1f}", f"{self.parameters:,}", f"{self.lut:,}"
        return [self.study, str(self.weight_bits), f"{self.samples:,}", f"{self.accuracy:.4f}", other, *figures]


def rows_of(study: Study) -> list[Row]:
    """Trains the study at each of its widths."""
    given, rows = data(study), []
    for bits in widths_of(study):
        trained = trained_of(study, bits, None)
        network, merit = trained.network, merit_of(study, trained, given)
        cost = estimate(network, ProtectionPlan(), clock_ns=study.hardware.clock_ns).report
        rows.append(
            Row(
                study.name,
                bits,
                len(given.test_labels),
                trained.accuracy_clean,
                merit["metric"],
                merit["metric_clean"],
                trained.seconds,
                parameters_of(network),
                int(cost.lut or 0),
            )
        )
    return rows


def parameters_of(network: Network) -> int:
    """Weights and biases of all layers that have some."""
    return sum(layer.w.raw.size + layer.b.raw.size for _, layer in network.compute_layers() if layer.has_weights)


def main() -> None:
    """Measure, and write the table into the page or JSON to standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", type=Path, help="study files (default: all of models/)")
    parser.add_argument("--json", action="store_true", help="print JSON and leave the page as it is")
    arguments = parser.parse_args()
    found: list[Row] = []
    absent: list[str] = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["CODESIGN_CACHE"] = cache  # so that everything is trained, and its time measured
        for path in arguments.studies or sorted(ROOT.glob("models/*.toml")):
            if path.with_suffix(".py").exists():
                try:
                    found += rows_of(load_study(path))
                except ConfigError as error:
                    absent.append(path.stem)
                    print(f"{path.stem}: {error}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"networks": [asdict(row) for row in found], "absent": absent}, indent=1))
        return
    without = [[name, "", "", "needs data", *(len(HEADER) - 4) * [""]] for name in absent]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    write_atomically(
        PAGE, f"{before}{BEGIN}\n{table([HEADER, *(row.cells() for row in found), *without])}\n\n{END}{after}"
    )


if __name__ == "__main__":
    main()
