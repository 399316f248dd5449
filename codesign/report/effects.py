"""The report's figure of partial dependences: how cost and accuracy follow from each variable."""

from textwrap import fill
from typing import TYPE_CHECKING

from markupsafe import Markup

from codesign.report import facts, figures, reasons
from codesign.report.facts import Document

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 4  # variables drawn of each quantity: those with the largest shares


def dependences(result: Document, quantity: str) -> Markup:
    """The variables that matter most, each with its curve and band, on one scale."""
    shown = reasons.quantities(result)[quantity]["variables"][:_MOST]

    def paint(axes: "Axes") -> None:
        figure = axes.figure
        axes.remove()
        first: Axes | None = None
        for place, variable in enumerate(shown):
            own = figure.add_subplot(1, len(shown), place + 1, sharey=first)
            _curve(own, quantity, variable)
            if first is None:
                first = own
                own.set_ylabel(reasons.QUANTITIES[quantity])
            else:
                own.tick_params(labelleft=False)

    told = "; ".join(
        f"{facts.variable(v['name'])}: {reasons.trend(quantity, v['name'], v['dependence'])}" for v in shown
    )
    alt = f"Partial dependence of {reasons.QUANTITIES[quantity]} on each variable. {told}."
    return figures.draw(f"effect-{quantity.replace('_', '-')}-figure", alt, paint, 2.5)


def _curve(axes: "Axes", quantity: str, variable: Document) -> None:
    points = variable["dependence"]
    categories = isinstance(points[0]["value"], str)
    at = list(range(len(points))) if categories else [point["value"] for point in points]
    middle, low, high = ([point[key] for point in points] for key in ("median", "low", "high"))
    colour = figures.colour("chosen")
    if categories:
        spread = [[m - a for m, a in zip(middle, low, strict=True)], [b - m for m, b in zip(middle, high, strict=True)]]
        axes.errorbar(at, middle, yerr=spread, fmt="o", color=colour, markersize=4.5)
        # Values of categories are ours, not the user's: no text from outside is drawn.
        axes.set_xticks(at, [str(point["value"]) for point in points], rotation=30, ha="right")
        axes.margins(x=0.2)
    else:
        axes.fill_between(at, low, high, color=colour, alpha=0.22, linewidth=0)
        axes.plot(at, middle, color=colour, linewidth=1.7, marker="o", markersize=3)
    axes.set_xlabel(fill(facts.variable(variable["name"]), 16))
    if quantity == "cost":
        axes.yaxis.set_major_formatter(lambda value, _: figures.short(value))
    else:
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
