"""Heat maps of neurons against accumulator bits, with the bits that the plan hardens, as inline SVG."""

from dataclasses import dataclass

from markupsafe import Markup, escape

from codesign.report import facts
from codesign.report.facts import Document

_CELL = 10  # units of the drawing
_NEURONS = 512  # rows of a layer that are drawn


@dataclass(frozen=True)
class HeatMap:
    """Of one layer; `drawn` of its neurons are in the figure."""

    name: str
    figure: Markup
    told: str
    neurons: int
    drawn: int


def heat_maps(result: Document) -> list[HeatMap]:
    """One a layer; none for runs that did not measure bits."""
    given = [layer for layer in result["layers"] if "sdc1_by_neuron_and_bit" in layer]
    top = max((rate for layer in given for row in layer["sdc1_by_neuron_and_bit"] for rate in row), default=0.0) or 1.0
    return [_heat_map(number, layer, top) for number, layer in enumerate(given)]


def _heat_map(number: int, layer: Document, top: float) -> HeatMap:
    rates, hardened, width = layer["sdc1_by_neuron_and_bit"], layer["hardened_bits"], layer["accumulator_bits"]
    whole = sum(map(sum, rates))
    left = sum(rate for row, h in zip(rates, hardened, strict=True) for rate in row[: width - h])
    removed = 1 - left / whole if whole else 0.0
    mean, most = whole / (len(rates) * width), max(map(max, rates))
    told = (
        f"a flip of one bit changes {facts.percent(mean, 1)} of the answers on average, at most "
        f"{facts.percent(most, 1)}; hardened bits hold {facts.percent(removed, 1)} of that"
    )
    rows = rates[:_NEURONS]
    cells = [
        f'<rect x="{_CELL * (width - 1 - bit)}" y="{_CELL * neuron}" width="{_CELL}" height="{_CELL}" '
        f'fill-opacity="{rate / top:.2f}"/>'
        for neuron, row in enumerate(rows)
        for bit, rate in enumerate(row)
        if rate > 0
    ]
    cuts = "".join(f"H{_CELL * h}V{_CELL * (neuron + 1)}" for neuron, h in enumerate(hardened[:_NEURONS]))
    opening = (
        f'<svg class="heat" id="heat-{number}" viewBox="-1 -1 {_CELL * width + 2} {_CELL * len(rows) + 2}" '
        f'width="{14 * width}" role="img" aria-label="{escape(layer["name"])}: {escape(told)}">'
    )
    frame = f'<rect width="{_CELL * width}" height="{_CELL * len(rows)}" fill="none" stroke="var(--line)"/>'
    body = f'<g fill="var(--chosen)">{"".join(cells)}</g>'
    edge = f'<path d="M0 0{cuts}H0" fill="none" stroke="var(--ink)" stroke-width="1.5"/>'
    figure = Markup(f"{opening}{frame}{body}{edge}</svg>")  # noqa: S704 built here, outside text is escaped
    return HeatMap(layer["name"], figure, told, len(rates), len(rows))
