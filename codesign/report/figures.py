"""The report's figures as inline SVG. Matplotlib draws them once; the page's style sheet colours them.

Matplotlib is given placeholder colours, which become the CSS variables of the page, so that one drawing
is right in light, dark and print. Figures hold no text from outside: study and layer names stay in the
template, where they are escaped. Matplotlib is imported when something is drawn, because it is slow to load.
"""

import io
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from markupsafe import Markup, escape

from codesign.report import facts
from codesign.report.facts import CAUSES, Document

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Paint = Callable[["Axes"], None]

_ROLES = ("ink", "muted", "line", "chosen", "unprotected", "full-tmr", "bg", "good", "bad", *CAUSES)
_COLOUR = {role: f"#0102{number:02x}" for number, role in enumerate(_ROLES, start=3)}

_STYLE = {
    # The same result must give the same bytes, and text must stay text.
    "svg.hashsalt": "codesign",
    "svg.fonttype": "none",
    # A dollar sign is a dollar sign.
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": _COLOUR["line"],
    "grid.linewidth": 0.6,
    "axes.edgecolor": _COLOUR["muted"],
    "axes.labelcolor": _COLOUR["ink"],
    "text.color": _COLOUR["ink"],
    "xtick.color": _COLOUR["muted"],
    "ytick.color": _COLOUR["muted"],
    "xtick.labelcolor": _COLOUR["ink"],
    "ytick.labelcolor": _COLOUR["ink"],
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "hatch.linewidth": 0.8,
    "figure.constrained_layout.use": True,
}
WIDTH_INCHES = 6.0

# Shape and dash tell designs apart where colour does not.
_MARKS: dict[str, dict[str, Any]] = {
    "unprotected": {"marker": "s", "markersize": 7},
    "chosen": {"marker": "*", "markersize": 14},
    "full-tmr": {"marker": "D", "markersize": 7},
}
_DASHES = {"unprotected": (0, (5, 2)), "chosen": "solid", "full-tmr": (0, (5, 1.5, 1, 1.5))}
_HATCHES = {
    "function": "",
    "replicas": "///",
    "voters": "...",
    "guards": "xxx",
    "parameters": "\\\\\\",
    "status": "---",
}


def style_in(colours: Mapping[str, str]) -> dict[str, Any]:
    """The look of the figures in real colours, by the names that the page's style sheet has for them."""
    real = {_COLOUR[role]: colour for role, colour in colours.items()}
    return {key: real.get(value, value) if isinstance(value, str) else value for key, value in _STYLE.items()}


def colour(role: str) -> str:
    """The placeholder of a colour of the page."""
    return _COLOUR[role]


def cost_against_accuracy(result: Document) -> Markup:
    """All designs, with the Pareto front, the requirement, and the chosen design beside its baselines."""
    evaluations, rivals, names = result["evaluations"], facts.contest(result), facts.contest_names(result)
    front = facts.pareto([*evaluations, *rivals.values()])
    titles = {f"design{e['id']}": _describe(e) for e in evaluations}

    def paint(axes: "Axes") -> None:
        for feasible in (False, True):
            _designs(axes, [e for e in evaluations if e["feasible"] is feasible], feasible)
        _front_line(axes, front)
        _requirement_line(axes, result)
        for role, design in rivals.items():
            _rival(axes, role, design, names[role])
        _cost_axis(axes, "x", [e["cost"] for e in [*evaluations, *rivals.values()]])
        axes.set_xlabel(_cost_name(result))
        axes.set_ylabel("accuracy under faults")
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        _legend(axes)

    alt = (
        f"Scatter plot of {_cost_name(result)} against accuracy under faults for {len(evaluations)} designs, "
        f"{sum(e['feasible'] for e in evaluations)} of which meet every requirement. "
        + " ".join(f"{name.capitalize()}: {_figures(rivals[role])}." for role, name in names.items())
    )
    return draw("cost-figure", alt, paint, 4.0, titles)


def _describe(evaluation: Document) -> str:
    missed = facts.misses(evaluation)
    return f"design {evaluation['id']}: {_figures(evaluation)}, " + (
        f"misses {', '.join(missed)}" if missed else "meets every requirement"
    )


def _figures(evaluation: Document) -> str:
    return f"cost {facts.count(evaluation['cost'])}, accuracy {facts.interval(evaluation['accuracy_faulty'])}"


def _designs(axes: "Axes", designs: list[Document], feasible: bool) -> None:
    """Points of one kind, each in a group of its own so that it can carry a title."""
    colour = _COLOUR["good" if feasible else "bad"]
    look: dict[str, Any] = {"marker": "o", "markersize": 4.5} if feasible else {"marker": "x", "markersize": 5}
    if designs:
        axes.errorbar(
            [e["cost"] for e in designs],
            [e["accuracy_faulty"]["mean"] for e in designs],
            yerr=[*zip(*(_half_widths(e) for e in designs), strict=True)],
            fmt="none",
            ecolor=colour,
            elinewidth=0.9,
            alpha=0.6,
        )
    for design in designs:
        mean = design["accuracy_faulty"]["mean"]
        axes.plot(design["cost"], mean, linestyle="none", color=colour, gid=f"design{design['id']}", **look)
    axes.plot([], [], linestyle="none", color=colour, label="meets all" if feasible else "misses something", **look)


def _half_widths(evaluation: Document) -> tuple[float, float]:
    measured = evaluation["accuracy_faulty"]
    return measured["mean"] - measured["low"], measured["high"] - measured["mean"]


def _rival(axes: "Axes", role: str, design: Document, name: str) -> None:
    """A design with its name beside it."""
    place = (design["cost"], design["accuracy_faulty"]["mean"])
    axes.errorbar(
        *place,
        yerr=[[half] for half in _half_widths(design)],
        color=_COLOUR[role],
        markeredgecolor=_COLOUR["ink"],
        markeredgewidth=0.7,
        zorder=4,
        **_MARKS[role],
    )
    above = role == "full-tmr"
    axes.annotate(
        name,
        place,
        xytext=(7, 7 if above else -11),
        textcoords="offset points",
        weight="bold",
        va="bottom" if above else "center",
        gid=f"halo-{role}",
        zorder=5,
    )


def _front_line(axes: "Axes", front: list[Document]) -> None:
    costs, accuracies = [e["cost"] for e in front], [e["accuracy_faulty"]["mean"] for e in front]
    look: dict[str, Any] = {"color": _COLOUR["muted"], "linewidth": 1.1, "zorder": 1.5}
    axes.step(costs, accuracies, where="post", label="Pareto front", **look)


def _requirement_line(axes: "Axes", result: Document) -> None:
    asked = result["requirements"].get("accuracy_faulty")
    if asked is not None:
        axes.axhline(asked, color=_COLOUR["ink"], linewidth=1, linestyle=(0, (1, 1.5)), zorder=1.4, label="required")


def accuracy_against_ber(result: Document) -> Markup | None:
    """Curves with bands; None where the study asked for none that a logarithmic axis can show."""
    curve = result["curve"]
    shown = [i for i, ber in enumerate(curve.get("ber", ())) if ber > 0]
    if not shown:
        return None
    from matplotlib.ticker import NullFormatter

    rates = [curve["ber"][i] for i in shown]
    names = facts.contest_names(result)

    def paint(axes: "Axes") -> None:
        for role, name in names.items():
            points = [curve[role.replace("-", "_")][i] for i in shown]
            band = [p["low"] for p in points], [p["high"] for p in points]
            axes.fill_between(rates, *band, color=_COLOUR[role], alpha=0.22, linewidth=0)
            axes.plot(
                rates,
                [p["mean"] for p in points],
                color=_COLOUR[role],
                linestyle=_DASHES[role],
                linewidth=1.7,
                label=name,
                **{**_MARKS[role], "markersize": 9 if role == "chosen" else 4.5},
            )
        _requirement_line(axes, result)
        if result["faults"]["ber"]:
            axes.axvline(
                result["faults"]["ber"], color=_COLOUR["muted"], linewidth=1.2, zorder=1.3, label="study's BER"
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: power(value))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("bit error rate (BER)")
        axes.set_ylabel("accuracy")
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        _legend(axes)

    between = f"bit error rates from {facts.rate(rates[0])} to {facts.rate(rates[-1])}"
    alt = f"Accuracy with confidence bands for {between}. {_ends_in_words(curve, names, shown)}"
    return draw("curve-figure", alt, paint, 3.7)


def _ends_in_words(curve: Document, names: dict[str, str], shown: list[int]) -> str:
    """Where each curve starts and ends."""
    found = []
    for role, name in names.items():
        first, last = (curve[role.replace("-", "_")][i]["mean"] for i in (shown[0], shown[-1]))
        found.append(f"{name.capitalize()}: {facts.percent(first)} to {facts.percent(last)}.")
    return " ".join(found)


def luts_by_cause(result: Document) -> Markup:
    """Stacked bars: what the LUTs of the chosen design and its baselines are spent on."""
    names, rivals = facts.contest_names(result), facts.contest(result)

    def paint(axes: "Axes") -> None:
        left = [0.0] * len(rivals)
        for cause, label in CAUSES.items():
            luts = [design["lut_by_cause"][cause] for design in rivals.values()]
            axes.barh(
                list(names.values()),
                luts,
                left=left,
                height=0.62,
                color=_COLOUR[cause],
                edgecolor=_COLOUR["bg"],
                hatch=_HATCHES[cause],
                linewidth=0.8,
                label=label,
            )
            left = [start + more for start, more in zip(left, luts, strict=True)]
        for row, end in enumerate(left):
            axes.annotate(f"{end:,.0f}", (end, row), xytext=(4, 0), textcoords="offset points", va="center")
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.12)
        axes.xaxis.set_major_formatter(lambda value, _: short(value))
        axes.set_xlabel("LUTs")
        _legend(axes)

    alt = "Stacked bars of LUTs by cause. " + " ".join(
        f"{names[role].capitalize()}: {_causes_in_words(design)}." for role, design in rivals.items()
    )
    return draw("cause-figure", alt, paint, 2.3)


def _causes_in_words(design: Document) -> str:
    return ", ".join(f"{label} {facts.count(design['lut_by_cause'][cause])}" for cause, label in CAUSES.items())


def convergence(result: Document) -> Markup:
    """Cost of every evaluation in order, and the cheapest feasible one so far."""
    from matplotlib.ticker import MaxNLocator

    evaluations = result["evaluations"]
    steps = facts.best_so_far(evaluations)
    starting = facts.starting(result)

    def paint(axes: "Axes") -> None:
        if starting:
            look: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 9, "markerfacecolor": "none"}
            axes.plot(
                starting,
                [evaluations[place]["cost"] for place in starting],
                color=_COLOUR["muted"],
                label="starting design",
                **look,
            )
        for feasible, marker in ((False, "x"), (True, "o")):
            found = [(i, e["cost"]) for i, e in enumerate(evaluations) if e["feasible"] is feasible]
            axes.plot(
                [i for i, _ in found],
                [cost for _, cost in found],
                linestyle="none",
                marker=marker,
                markersize=4.5,
                color=_COLOUR["good" if feasible else "bad"],
                label="meets all" if feasible else "misses something",
            )
        if steps:
            ends = [*steps, (len(evaluations) - 1, steps[-1][1])]
            numbers, costs = zip(*ends, strict=True)
            axes.step(numbers, costs, where="post", color=_COLOUR["chosen"], linewidth=1.8, label="cheapest so far")
        axes.set_xlabel("evaluation")
        axes.set_ylabel(_cost_name(result))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _cost_axis(axes, "y", [e["cost"] for e in evaluations])
        _legend(axes)

    told = (
        f"The cheapest design that meets every requirement cost {facts.count(steps[0][1])} first (evaluation "
        f"{steps[0][0]}) and {facts.count(steps[-1][1])} in the end (evaluation {steps[-1][0]})."
        if steps
        else "No evaluation met every requirement."
    ) + (f" {len(starting)} of them are starting designs." if starting else "")
    return draw("convergence-figure", f"Cost of {len(evaluations)} evaluations in order. {told}", paint, 3.0)


def _cost_name(result: Document) -> str:
    return "cost (LUTs)" if facts.in_luts(result) else "cost (weighted LUTs and DSPs)"


def _cost_axis(axes: "Axes", direction: Literal["x", "y"], costs: list[float]) -> None:
    """Logarithmic where costs span so much that the cheap ones would crowd."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis = axes.xaxis if direction == "x" else axes.yaxis
    if min(costs) > 0 and max(costs) > 3 * min(costs):
        axes.set(**{f"{direction}scale": "log"})
        axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def short(value: float) -> str:
    """39000 becomes 39k."""
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


def power(value: float) -> str:
    """0.0001 becomes a ten with a raised -4."""
    mantissa, _, exponent = f"{value:e}".partition("e")
    power = f"10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
    return power if float(mantissa) == 1 else f"{float(mantissa):g}·{power}"


def _legend(axes: "Axes") -> None:
    figure = axes.get_figure()
    assert figure is not None
    figure.legend(loc="outside upper left", ncols=5, columnspacing=1.2, handletextpad=0.5, borderpad=0.1)


def draw(name: str, alt: str, paint: Paint, height_inches: float, titles: dict[str, str] | None = None) -> Markup:
    """Let `paint` draw on fresh axes and return inline SVG, whatever the user's own Matplotlib settings are."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(WIDTH_INCHES, height_inches))
        paint(figure.subplots())
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return _inline(drawn.getvalue(), name, alt, titles or {})


def _inline(svg: str, name: str, alt: str, titles: dict[str, str]) -> Markup:
    """Matplotlib's file as an element of a page: own ids, colours of the page, an accessible name, nothing foreign.

    `titles` maps the gid of a group to what the browser shows when one points at it.
    """
    box = re.search(r'viewBox="([^"]*)"', svg)
    assert box is not None  # Matplotlib always writes one
    body = re.sub(r"^.*?<svg[^>]*>", "", svg, count=1, flags=re.DOTALL)
    for unwanted in (r"<metadata>.*?</metadata>", r"<defs>\s*<style.*?</style>\s*</defs>", r"<!--.*?-->"):
        body = re.sub(unwanted, "", body, flags=re.DOTALL)
    body = body.replace(' id="', f' id="{name}-').replace('xlink:href="#', f'href="#{name}-')
    body = body.replace("url(#", f"url(#{name}-")
    for role, colour in _COLOUR.items():
        body = body.replace(colour, f"var(--{role})")
    for gid, title in titles.items():
        group = f'<g id="{name}-{gid}">'
        body = body.replace(group, f"{group}<title>{escape(title)}</title>")
    opening = f'<svg class="plot" id="{name}" viewBox="{box[1]}" role="img" aria-label="{escape(alt)}">'
    return Markup(opening + re.sub(r"\s*\n\s*", "\n", body).strip())  # noqa: S704 built here, outside text is escaped
