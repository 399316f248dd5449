"""An ablation as text and as a figure: a row a variant, a mark a bit error rate, a line over the seeds."""

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from codesign.report.figures import WIDTH_INCHES
from codesign.report.plots import looks, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, Any]
_HEAD = ("variant", "met", "LUT", "of full TMR", "own network", "DSP", "cycles", "accuracy", "under faults, low")


def ablation_text(document: dict[str, Any]) -> str:
    """A table for each rate, medians over the seeds with their range, and what it says about all layers together."""
    lines = []
    for rate in document["faults"]["ber"]:
        cells = [_HEAD, *(_cells(name, rows) for name, rows in _groups(document, rate))]
        widths = [max(len(row[k]) for row in cells) for k in range(len(_HEAD))]
        lines += [f"bit error rate {rate:g}, median over seeds (least..most); protection in shares of full TMR's LUTs"]
        for row in cells:
            lines.append(
                "  "
                + row[0].ljust(widths[0])
                + "".join(c.rjust(w + 2) for c, w in zip(row[1:], widths[1:], strict=True))
            )
        lines += [*_claims([claim for claim in document["claims"] if claim["ber"] == rate]), ""]
    return "\n".join(lines)


def _groups(document: dict[str, Any], rate: float) -> Iterator[tuple[str, list[Row]]]:
    rows = [row for row in document["rows"] if row["ber"] == rate]
    for name in dict.fromkeys(row["variant"] for row in rows):
        yield name, [row for row in rows if row["variant"] == name]


def _cells(name: str, rows: list[Row]) -> tuple[str, ...]:
    return (
        name,
        f"{sum(row['feasible'] for row in rows)}/{len(rows)}",
        _range([row["lut"] for row in rows], "{:.0f}"),
        _range([row["protection_share"] for row in rows], "{:.1%}"),
        _range([row["own_share"] for row in rows], "{:.1%}"),
        _range([row["dsp"] for row in rows], "{:.0f}"),
        _range([row["latency_cycles"] for row in rows], "{:.0f}"),
        _range([row["accuracy_clean"] for row in rows], "{:.4f}"),
        _range([row["accuracy_faulty"]["low"] for row in rows], "{:.4f}"),
    )


def _range(values: list[float], form: str) -> str:
    """The median; with more than one value their range, too."""
    middle = form.format(median(values))
    low, high = form.format(min(values)), form.format(max(values))
    return middle if low == high else f"{middle} ({low}..{high})"


def _claims(claims: list[dict[str, Any]]) -> Iterator[str]:
    for claim in claims:
        seed = f"  seed {claim['seed']}: "
        if not claim["unprotected_fails"]:
            yield f"{seed}the unprotected network meets the requirements: the rate is too low for a comparison"
        if not claim["feasible"]:
            yield f"{seed}no design of all layers meets the requirements"
            continue
        best, share, own = (claim[key] for key in ("best_single_layer", "to_single_layer", "own_to_single_layer"))
        single = f"{_share(share)} of {best}" if best else "no selective design of one layer meets the requirements"
        yield (
            f"{seed}all layers cost {claim['to_full_tmr']:.1%} of full TMR and {single}; "
            f"over the own network {claim['own_to_full_tmr']:.1%} and {_share(own)}"
        )


def _share(value: float | None) -> str:
    """A dash where the other one costs nothing, or is not there."""
    return "-" if value is None else f"{value:.0%}"


def plot_ablation(document: dict[str, Any], stem: Path) -> list[Path]:
    """LUT and DSP over the unprotected reference, accuracy under faults, latency; the paths written beside `stem`."""
    rates, names = document["faults"]["ber"], list(dict.fromkeys(row["variant"] for row in document["rows"]))

    def paint(figure: "Figure") -> None:
        panels = figure.subplots(2, 2, sharey=True).flat
        for axes, (label, of) in zip(panels, _PANELS, strict=True):
            for number, (rate, look) in enumerate(zip(rates, looks(len(rates)), strict=True)):
                shift = (number - (len(rates) - 1) / 2) * 0.5 / len(rates)
                _marks(axes, _spans(document, rate, of), shift, {**look, "linestyle": "none"}, f"BER {rate:g}")
            axes.set_xlabel(label)
            axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.grid(visible=False, axis="y")
            if of is not _accuracy:
                _whole(axes)
            else:
                axes.axvline(document["requirements"]["accuracy_faulty"], color="#57606a", linewidth=1, linestyle=":")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4)

    return written(paint, (WIDTH_INCHES * 1.25, 5.4), stem)


Span = tuple[float, float, float]


def _spans(document: dict[str, Any], rate: float, of: Callable[[Row, Row], Span]) -> list[Span]:
    """For each variant the middle, least and greatest over the seeds, each against its seed's unprotected row."""
    groups = dict(_groups(document, rate))
    plain = {row["seed"]: row for row in groups["unprotected"]}
    spans = []
    for rows in groups.values():
        found = [of(row, plain[row["seed"]]) for row in rows]
        spans.append((median(s[0] for s in found), min(s[1] for s in found), max(s[2] for s in found)))
    return spans


def _marks(axes: "Axes", spans: list[Span], shift: float, look: dict[str, Any], label: str) -> None:
    heights = [place + shift for place in range(len(spans))]
    errors = [[middle - low for middle, low, _ in spans], [high - middle for middle, _, high in spans]]
    axes.errorbar([s[0] for s in spans], heights, xerr=errors, label=label, markersize=5, elinewidth=1.2, **look)


def _whole(axes: "Axes") -> None:
    """Ticks at whole numbers, and some width where all are alike."""
    from matplotlib.ticker import MaxNLocator

    low, high = axes.get_xlim()
    if high - low < 1:
        axes.set_xlim(low - 1, high + 1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _over(key: str) -> Callable[[Row, Row], Span]:
    def of(row: Row, plain: Row) -> Span:
        return (row[key] - plain[key],) * 3

    return of


def _accuracy(row: Row, _: Row) -> Span:
    found = row["accuracy_faulty"]
    return found["mean"], found["low"], found["high"]


def _latency(row: Row, _: Row) -> Span:
    return (row["latency_cycles"],) * 3


_PANELS: tuple[tuple[str, Callable[[Row, Row], Span]], ...] = (
    ("LUT over unprotected", _over("lut")),
    ("DSP over unprotected", _over("dsp")),
    ("accuracy under faults (dots: required)", _accuracy),
    ("latency, cycles", _latency),
)
