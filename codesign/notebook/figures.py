"""Figures for notebooks, as inline SVG: of plain numbers and names, so that every public type can show itself.

Names are drawn as text, whatever is in them. A figure is the same for the same numbers, whatever the user's own
Matplotlib settings are.
"""

import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Paint = Callable[["Figure"], None]
Span = tuple[float, float, float]
"""Mean, low and high of an interval."""

WIDTH_INCHES = 6.0
_ROW_INCHES = 0.28
# Colours that people tell apart whatever their colour vision (Okabe and Ito, 2008).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_LOOK: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,  # a name with dollars is no formula
    "svg.fonttype": "none",  # text that is read out, found and copied
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
}


def figure(alt: str, paint: Paint, height_inches: float) -> str:
    """An SVG element with a name for those who do not see it."""
    from matplotlib import style
    from matplotlib.figure import Figure

    # The ids of clip paths have to differ between the figures of a page.
    salt = hashlib.sha256(alt.encode()).hexdigest()[:16]
    with style.context(["default", {**_LOOK, "svg.hashsalt": salt}]):
        drawn = io.StringIO()
        shown = Figure(figsize=(WIDTH_INCHES, height_inches))
        paint(shown)
        shown.savefig(drawn, format="svg", metadata={"Date": None})
    svg = re.sub(r"^.*?(?=<svg)|<metadata>.*?</metadata>", "", drawn.getvalue(), flags=re.DOTALL)
    # A style sheet inside an SVG would be one of the whole page.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    opening = f'<svg role="img" aria-label="{escape(alt)}" style="max-width:100%;height:auto" stroke-linejoin="round"'
    return svg.replace("<svg", opening, 1).strip()


def intervals(alt: str, rates: Mapping[str, Span], limits: Mapping[str, Sequence[float]]) -> str:
    """A dot and a bar for each rate in 0..1, from top to bottom; `limits` are marked by a line across."""

    def paint(shown: "Figure") -> None:
        axes = shown.subplots()
        for row, (name, (mean, low, high)) in enumerate(rates.items()):
            axes.plot([low, high], [row, row], color=COLOURS[0], linewidth=2)
            axes.plot([mean], [row], "o", color=COLOURS[0], markersize=4)
            for limit in limits.get(name, ()):
                axes.plot([limit, limit], [row - 0.4, row + 0.4], color=COLOURS[1], linewidth=2)
        axes.set_yticks(range(len(rates)), list(rates))
        axes.set_ylim(len(rates) - 0.5, -0.5)
        axes.set_xlim(-0.02, 1.02)
        axes.xaxis.set_major_formatter(_percent)
        if any(limits.values()):
            axes.set_xlabel("orange: required")

    return figure(alt, paint, 0.6 + _ROW_INCHES * len(rates))


def bands(alt: str, rates: Sequence[float], lines: Mapping[str, Sequence[Span]], label: str) -> str:
    """Lines with bands against rates on a logarithmic axis; a rate of 0 has no place there and is left out."""

    def paint(shown: "Figure") -> None:
        from matplotlib.ticker import NullFormatter

        axes = shown.subplots()
        kept = [k for k, rate in enumerate(rates) if rate > 0]
        for (name, spans), colour in zip(lines.items(), _cycled(len(lines)), strict=True):
            at = [rates[k] for k in kept]
            mean, low, high = ([spans[k][part] for k in kept] for part in range(3))
            axes.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.plot(at, mean, "o-", color=colour, label=name, markersize=3.5)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(label)
        axes.yaxis.set_major_formatter(_percent)
        shown.legend(loc="outside upper left", ncols=3, frameon=False)

    return figure(alt, paint, 3.0)


def stacked(alt: str, rows: Mapping[str, Mapping[str, float]], label: str) -> str:
    """A horizontal bar for each row, from top to bottom, with a part for each cause."""

    def paint(shown: "Figure") -> None:
        axes, causes = shown.subplots(), list(next(iter(rows.values()), {}))
        left = np.zeros(len(rows))
        for cause, colour in zip(causes, _cycled(len(causes)), strict=True):
            values = np.array([parts[cause] for parts in rows.values()], float)
            axes.barh(range(len(rows)), values, left=left, color=colour, label=cause, height=0.7)
            left += values
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(label)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        shown.legend(loc="outside upper left", ncols=4, frameon=False)

    return figure(alt, paint, 1.0 + _ROW_INCHES * len(rows))


def heat_maps(alt: str, maps: Mapping[str, NDArray[Any]], across: str, down: str, label: str, top: float) -> str:
    """One heat map for each name: values of shape (rows, bits), 0 to `top`, the highest bit on the left.

    Grey is what a narrower one does not have. Without a `label` there is no scale of colours.
    """
    width = max(values.shape[1] for values in maps.values())

    def paint(shown: "Figure") -> None:
        ratios = [max(len(values), 4) for values in maps.values()]
        panels = shown.subplots(len(maps), squeeze=False, sharex=True, height_ratios=ratios)[:, 0]
        for axes, (name, values) in zip(panels, maps.items(), strict=True):
            image = _heat(axes, name, values, width, top)
            axes.set_ylabel(down)
        panels[-1].set_xlabel(across)
        if label:
            shown.colorbar(image, ax=list(panels), label=label, fraction=0.05)

    rows = sum(max(len(values), 4) for values in maps.values())
    return figure(alt, paint, min(1.0 + 0.08 * rows + 0.4 * len(maps), 20.0))


def _heat(axes: "Axes", name: str, values: NDArray[Any], width: int, top: float) -> Any:
    from matplotlib.ticker import MaxNLocator

    padded = np.full((len(values), width), np.nan)
    padded[:, : values.shape[1]] = values
    axes.set_facecolor("#d3d9df")
    axes.set_title(name, loc="left", fontsize=9)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    image = axes.imshow(padded, cmap="Blues", vmin=0.0, vmax=top or 1.0, aspect="auto", interpolation="nearest")
    axes.set_xlim(width - 0.5, -0.5)  # as numbers are written: the most significant bit on the left
    return image


def scatter(alt: str, groups: Mapping[str, Sequence[tuple[float, float]]], across: str, down: str) -> str:
    """Points of several groups, each with a mark of its own."""

    def paint(shown: "Figure") -> None:
        axes = shown.subplots()
        for (name, points), colour, mark in zip(groups.items(), _cycled(len(groups)), "os^Dv*", strict=False):
            axes.plot([x for x, _ in points], [y for _, y in points], mark, color=colour, label=name, markersize=5)
        axes.set_xlabel(across)
        axes.set_ylabel(down)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        shown.legend(loc="outside upper left", ncols=4, frameon=False)

    return figure(alt, paint, 3.2)


def _cycled(number: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(number)]


def _percent(value: float, _: object) -> str:
    return f"{100 * value:.4g} %"
