"""Results as plain text for the terminal."""

from collections import Counter
from typing import Any

import numpy as np

from codesign.vulnerability.analysis import Analysis

_SHADES = " .:-=+*#%@"
_TOP_NEURONS = 8


def vulnerability_text(analysis: Analysis) -> str:
    """Of each layer the most important neurons, a heat map of neurons against accumulator bits, and rates by bit."""
    lines = []
    for name, scores in analysis.scores.items():
        rates, hidden = analysis.rates[name], analysis.hidden[name]
        lines += [f"layer {name}: {len(scores)} neurons, {rates.shape[1]} accumulator bits", ""]
        lines.append(f"  neuron  {analysis.score} score  changed answers by a flip")
        width = len(f"{analysis.score} score")
        for neuron in np.argsort(-scores, kind="stable")[:_TOP_NEURONS]:
            lines.append(f"  {neuron:6d}  {scores[neuron]:{width}.4g}  {rates[neuron].mean():8.1%}")
        lines += ["", f"  changed answers, darker is more (0..{rates.max():.0%}); left the most significant bit"]
        lines += [f"  {neuron:4d} |{_shaded(row, rates.max())}|" for neuron, row in enumerate(rates)]
        lines += ["", "  changed answers in percent by bit position, 0 on the right"]
        for target, by_bit in analysis.by_bit(name).items():
            lines.append(f"  {target:<11} " + " ".join(f"{100 * rate:3.0f}" for rate in by_bit[::-1]))
        lines += [f"  proven never to show: {hidden.sum()} of {hidden.size} accumulator bits", ""]
    return "\n".join(lines)


def _shaded(row: np.ndarray[Any, np.dtype[np.float64]], top: float) -> str:
    levels = np.zeros(len(row), int) if top == 0 else np.rint(row / top * (len(_SHADES) - 1)).astype(int)
    return "".join(_SHADES[level] for level in levels[::-1])


def resources_text(report: dict[str, Any]) -> str:
    """The figures of a ResourceReport; what the source does not say is shown as a dash."""
    names = ("lut", "ff", "dsp", "bram_18k", "latency_cycles", "ii", "clock_ns")
    stage = f", {report['stage']}" if report["stage"] else ""
    lines = [f"source: {report['source']} ({report['tool_version']}{stage})"]
    lines += [f"{name:<15} {'-' if report[name] is None else report[name]}" for name in names]
    if causes := report.get("lut_by_cause"):
        lines += [f"  LUT {name:<10} {count}" for name, count in causes.items()]
    if "carry" in report:  # mapped
        lines += [f"{name:<15} {report[name]}" for name in ("carry", "copies")]
        lines += _layer_table(report["layers"])
        if vectors := report.get("verified"):
            lines.append(f"netlist equals the network on {vectors} input vectors")
    lines += _modules(report.get("modules", []))
    if outside := report.get("outside"):
        lines.append(f"not calibrated, the error is unknown: {', '.join(outside)}")
    for name, error in (report.get("error") or {}).items():
        lines.append(
            f"expected error of {name}: median {error['median']:.1%}, 95 of 100 designs within {error['p95']:.1%}"
        )
    return "\n".join(lines) + "\n"


def _layer_table(layers: list[dict[str, Any]]) -> list[str]:
    """Primitives of each layer, LUTs by those causes that occur; what stands between layers has no name."""
    causes = [cause for cause in layers[0]["lut_by_cause"] if any(layer["lut_by_cause"][cause] for layer in layers)]
    rows = [["layer", "LUT", *causes, "FF", "carry"]]
    for layer in layers:
        by_cause = [layer["lut_by_cause"][cause] for cause in causes]
        rows.append([layer["name"] or "(between)", *map(str, (layer["lut"], *by_cause, layer["ff"], layer["carry"]))])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def _modules(modules: list[dict[str, Any]]) -> list[str]:
    """A table of a report's modules."""
    names = ("lut", "ff", "dsp", "bram_18k", "latency_cycles", "ii")

    def row(cells: tuple[Any, ...], name: str) -> str:
        return "  " + "".join(f"{'-' if cell is None else cell:>15}" for cell in cells) + f"  {name}"

    rows = [row(tuple(m[name] for name in names), m["instance"] or m["module"]) for m in modules]
    return [row(names, "module"), *rows] if rows else []


def outcome_text(result: dict[str, Any]) -> str:
    """The verdict of a search in a few lines."""
    chosen = result["best"] or result["nearest"]
    if result["best"]:
        lines = [f"best of {len(result['evaluations'])} designs: number {chosen['id']}, every requirement met"]
    else:
        # A design that failed only in its fresh campaign breaks no constraint of the search.
        margins = chosen["margins"]
        missed = ", ".join(f"{name} by {-margins[name]:.4g}" if name in margins else name for name in chosen["broken"])
        lines = [f"no design meets the requirements; nearest is number {chosen['id']}, which misses {missed}"]
        lines += [f"  {line}" for line in chosen["shortfalls"]]
        lines += _binding(result)
    lines += _failures(result)
    lines += [
        _row("", ("LUT", "DSP", "cycles", "accuracy", "under faults")),
        _row("chosen", _figures(chosen)),
        *(_row(name, _figures(baseline)) for name, baseline in result["baselines"].items()),
    ]
    if (metric := chosen.get("metric", "accuracy")) != "accuracy":  # runs of earlier versions have none
        faulty = chosen["metric_faulty"]
        span = f"{faulty['mean']:.4f} [{faulty['low']:.4f}, {faulty['high']:.4f}]"
        lines.append(f"{metric} of the chosen design {chosen['metric_clean']:.4f}, under faults {span}")
    if chosen["protection_share"] is not None:
        lines.append(f"protection costs {chosen['protection_share']:.1%} of the LUTs that full TMR adds (estimate)")
    if "lut" in (mapped := result.get("mapped", {})):
        lines.append(f"mapped by {mapped['tool_version']}: {mapped['lut']} LUT, {mapped['ff']} FF, {mapped['dsp']} DSP")
    elif mapped:
        lines.append(f"not mapped: {mapped['unavailable']}")
    return "\n".join(lines) + "\n"


def _binding(result: dict[str, Any]) -> list[str]:
    """Which constraint keeps most designs out."""
    name = result["nearest"].get("binding")  # runs of earlier versions have none
    if name is None:
        return []
    seen, total = result["constraints"][name], len(result["evaluations"])
    if seen["met_by"] == 0:
        return [
            f"  binding is {name}: none of {total} designs meets it, the best misses it by {-seen['best_margin']:.4g}"
        ]
    return [f"  binding is {name}: {seen['met_by']} of {total} designs meet it"]


def _failures(result: dict[str, Any]) -> list[str]:
    reasons = Counter(failure["reason"] for failure in result.get("failed", ()))
    return [
        f"{count} design{'s' if count > 1 else ''} could not be evaluated: {reason}"
        for reason, count in reasons.items()
    ]


def _row(name: str, cells: tuple[Any, ...]) -> str:
    return f"  {name:<12}" + "".join(f"{cell:>10}" for cell in cells[:4]) + f"   {cells[4]}"


def _figures(evaluation: dict[str, Any]) -> tuple[Any, ...]:
    used, faulty = evaluation["resources"], evaluation["accuracy_faulty"]
    under_faults = f"{faulty['mean']:.4f} [{faulty['low']:.4f}, {faulty['high']:.4f}]"
    clean = f"{evaluation['accuracy_clean']:.4f}"
    return used["lut"], used["dsp"], used["latency_cycles"], clean, under_faults
