"""Figures as files of their own, SVG and PNG: curves against BER, and heat maps of AVF."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.campaign.avf import Group
from codesign.campaign.curve import Curve
from codesign.files import write_atomically
from codesign.report.figures import WIDTH_INCHES, power, style_in
from codesign.vulnerability import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "png")
_INK = {"ink": "#1a1f24", "muted": "#57606a", "line": "#d3d9df"}
# Colours that people tell apart whatever their colour vision (Okabe and Ito, 2008); marks and dashes help in print.
_LINES = [
    {"color": color, "marker": marker, "linestyle": dash}
    for color, marker, dash in (
        ("#0072b2", "o", "-"),
        ("#d55e00", "s", "--"),
        ("#009e73", "D", "-."),
        ("#cc79a7", "^", ":"),
        ("#e69f00", "v", "-"),
        ("#56b4e9", "P", "--"),
    )
]
_DPI = 160


def plot_curves(curves: Sequence[Curve], stem: Path) -> list[Path]:
    """Accuracy and SDC-1 against BER, with bands; the paths of what was written beside `stem`.

    A rate of 0 has no place on the logarithmic axis and is left out; without any other there is nothing to draw.
    """
    if not any(curves[0].rates):
        return []

    def paint(figure: "Figure") -> None:
        from matplotlib.ticker import NullFormatter

        accuracy, sdc1 = figure.subplots(2, sharex=True)
        for axes, metric, label in ((accuracy, "accuracy", "accuracy"), (sdc1, "sdc1", "SDC-1")):
            for curve, look in zip(curves, looks(len(curves)), strict=True):
                _band(axes, curve, metric, look)
            axes.set_ylabel(label)
            axes.set_xscale("log")
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        sdc1.xaxis.set_major_formatter(lambda value, _: power(value))
        sdc1.xaxis.set_minor_formatter(NullFormatter())
        confidence = curves[0].results[0].confidence
        sdc1.set_xlabel(f"bit error rate; bands: {100 * confidence:.6g} % at each rate")
        figure.legend(*accuracy.get_legend_handles_labels(), loc="outside upper left", ncols=3)

    return written(paint, (WIDTH_INCHES, 5.6), stem)


def _band(axes: "Axes", curve: Curve, metric: str, look: dict[str, Any]) -> None:
    points = [
        (rate, result.interval(metric)) for rate, result in zip(curve.rates, curve.results, strict=True) if rate > 0
    ]
    rates = [rate for rate, _ in points]
    axes.fill_between(
        rates, [p.low for _, p in points], [p.high for _, p in points], color=look["color"], alpha=0.2, linewidth=0
    )
    axes.plot(rates, [p.mean for _, p in points], label=curve.name, markersize=4, linewidth=1.5, **look)


def looks(number: int) -> list[dict[str, Any]]:
    """Colour, mark and dash of so many things in one figure."""
    return [_LINES[k % len(_LINES)] for k in range(number)]


def plot_avf(cells: Sequence[Group], stem: Path) -> list[Path]:
    """A heat map a target: layers against bit positions; the paths of what was written beside `stem`."""
    targets = list(dict.fromkeys(cell.target for cell in cells))
    layers = {target: list(dict.fromkeys(cell.layer for cell in cells if cell.target == target)) for target in targets}
    width = 1 + max(cell.bit or 0 for cell in cells)
    top = max(cell.avf.mean for cell in cells) or 1.0

    def paint(figure: "Figure") -> None:
        from matplotlib.ticker import MaxNLocator

        ratios = [len(layers[target]) + 0.8 for target in targets]
        panels = figure.subplots(len(targets), squeeze=False, sharex=True, height_ratios=ratios)[:, 0]
        for axes, target in zip(panels, targets, strict=True):
            rates = np.full((len(layers[target]), width), np.nan)
            for cell in cells:
                if cell.target == target:
                    rates[layers[target].index(cell.layer), cell.bit] = cell.avf.mean
            image = axes.imshow(rates, cmap="Blues", vmin=0.0, vmax=top, aspect="auto", interpolation="nearest")
            axes.set_facecolor(_INK["line"])
            axes.set_yticks(range(len(layers[target])), [str(name) for name in layers[target]])
            axes.set_title(target, loc="left", fontsize=9)
            axes.grid(visible=False)
            axes.invert_xaxis()  # as numbers are written: the most significant bit on the left
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[-1].set_xlabel("bit position (0: least significant); grey: no such bit")
        bar = figure.colorbar(image, ax=list(panels), label="AVF", fraction=0.05)
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")

    rows = sum(len(found) for found in layers.values())
    return written(paint, (WIDTH_INCHES, 1.0 + 0.3 * rows + 0.45 * len(targets)), stem)


def plot_vulnerability(rates: Scores, stem: Path) -> list[Path]:
    """A heat map a layer: neurons against accumulator bits; the paths of what was written beside `stem`."""
    top = max(float(values.max()) for values in rates.values()) or 1.0
    width = max(values.shape[1] for values in rates.values())

    def paint(figure: "Figure") -> None:
        from matplotlib.ticker import MaxNLocator

        ratios = [max(len(values), 6) for values in rates.values()]
        panels = figure.subplots(len(rates), squeeze=False, sharex=True, height_ratios=ratios)[:, 0]
        for axes, (name, values) in zip(panels, rates.items(), strict=True):
            padded = np.full((len(values), width), np.nan)
            padded[:, : values.shape[1]] = values
            image = axes.imshow(padded, cmap="Blues", vmin=0.0, vmax=top, aspect="auto", interpolation="nearest")
            axes.set_facecolor(_INK["line"])
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
            axes.set_ylabel("neuron")
            axes.set_title(name, loc="left", fontsize=9)
            axes.grid(visible=False)
            axes.invert_xaxis()  # as numbers are written: the most significant bit on the left
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[-1].set_xlabel("accumulator bit (0: least significant); grey: no such bit")
        bar = figure.colorbar(image, ax=list(panels), label="flips that change the answer", fraction=0.05)
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")

    rows = sum(max(len(values), 6) for values in rates.values())
    return written(paint, (WIDTH_INCHES, min(1.2 + 0.09 * rows + 0.45 * len(rates), 40.0)), stem)


def written(paint: "Callable[[Figure], None]", inches: tuple[float, float], stem: Path) -> list[Path]:
    """Draw, whatever the user's own Matplotlib settings are; the same figure gives the same bytes."""
    from matplotlib import style
    from matplotlib.figure import Figure

    paths = []
    with style.context(["default", style_in(_INK), {"figure.facecolor": "white"}]):
        figure = Figure(figsize=inches)
        paint(figure)
        for kind in FORMATS:
            drawn = io.BytesIO()
            figure.savefig(drawn, format=kind, dpi=_DPI, metadata={"Date" if kind == "svg" else "Software": None})
            paths.append(stem.with_name(f"{stem.name}.{kind}"))
            write_atomically(paths[-1], drawn.getvalue())
    return paths
