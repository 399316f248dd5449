"""What the report says, as plain values and sentences out of a result document. No HTML, no drawing."""

from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]

NBSP = "\u00a0"

# Order and names of what a design's LUTs are spent on.
CAUSES = {name: name for name in ("function", "replicas", "voters", "guards", "parameters", "status")}

_CONSTRAINTS = {
    "accuracy_clean": "accuracy without faults",
    "accuracy_faulty": "accuracy under faults",
    "latency_cycles": "latency",
    "capacity": "board capacity",
}
_VARIABLES = {
    "weight_bits": "weight bits",
    "activation_bits": "activation bits",
    "accumulator_bits": "accumulator bits, bound",
    "truncation": "truncation",
    "important_fraction": "important neurons",
    "hardened_bits_important": "hardened bits, important",
    "hardened_bits_normal": "hardened bits, others",
    "importance_scope": "importance ranked over",
    "importance_score": "importance score",
    "protection_budget": "protection budget",
    "mechanism": "mechanism",
    "dot_size": "multipliers of the shared unit",
    "hardened_scope": "hardened arithmetic",
    "parameters": "stored parameters",
    "reuse_factor": "reuse factor",
    "strategy": "strategy",
    "dsp_min_bits": "bits of factors in DSPs, at least",
}
_TARGETS = {
    "accumulator": "an adder's output after each accumulation",
    "weight": "a stored weight; with reuse factor 1 weights are constants in logic, and a flip stands for an upset of "
    "the configuration that encodes one",
    "bias": "a stored bias; with reuse factor 1 biases are constants in logic, and a flip stands for an upset of the "
    "configuration that encodes one",
    "product": "a multiplier's output",
    "activation": "a layer's output register",
    "voter": "a voter's output",
}
_LIFETIMES = {
    "transient": "each flip in arithmetic lasts for one operation of one sample, each in a parameter for a whole trial",
    "persistent": "each flip stays in its physical unit for a whole trial",
}
_SOURCES = {
    "estimate": "an estimate by arithmetic, not the report of a synthesis tool",
    "yosys": "open synthesis of the same datapath by Yosys, not the vendor's tool",
    "vivado": "reported by Vivado",
    "vitis": "reported by Vitis HLS",
}


def percent(share: float, decimals: int = 2) -> str:
    """A share of one in percent."""
    return f"{100 * share:.{decimals}f}{NBSP}%"


def rate(value: float) -> str:
    """A bit error rate as one writes it: 0.0001 becomes 1e-4."""
    if value == 0 or value >= 0.01:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def count(number: float | None) -> str:
    """A whole number with separators; a figure that its source does not give is named as such."""
    return "not given" if number is None else f"{number:,.0f}"


def interval(measured: Document) -> str:
    """A measured rate and, in brackets, its interval."""
    return f"{percent(measured['mean'])} [{100 * measured['low']:.2f},{NBSP}{100 * measured['high']:.2f}]"


def confidence(measured: Document) -> str:
    """The confidence of a measured rate's interval."""
    return f"{100 * measured['confidence']:g}{NBSP}%"


def chosen(result: Document) -> Document:
    """The design that the report is about: the best one, or the nearest where nothing is feasible."""
    found: Document = result["best"] or result["nearest"]
    return found


def contest(result: Document) -> dict[str, Document]:
    """The designs that are compared, cheapest protection first."""
    baselines = result["baselines"]
    return {"unprotected": baselines["unprotected"], "chosen": chosen(result), "full-tmr": baselines["full_tmr"]}


def contest_names(result: Document) -> dict[str, str]:
    """Names for people of what `contest` compares."""
    return {"unprotected": "unprotected", "chosen": "chosen" if result["best"] else "nearest", "full-tmr": "full TMR"}


@dataclass(frozen=True)
class Check:
    """One requirement against one design; `shortfall` is empty where it is met."""

    name: str
    asked: str
    reached: str
    met: bool
    shortfall: str


def checks(result: Document, design: Document) -> list[Check]:
    """Every constraint of the study, in the order of the result."""
    return [
        Check(label(name), *_asked_and_reached(name, result, design), margin >= 0, shortfall(name, margin))
        for name, margin in design["margins"].items()
    ]


def misses(design: Document) -> list[str]:
    """What a design misses and by how much, for a table cell; empty for a feasible one."""
    return [f"{label(name)} by {shortfall(name, m)}" for name, m in design["margins"].items() if m < 0]


def label(name: str) -> str:
    """A constraint's name for people."""
    return _CONSTRAINTS.get(name, name.replace("_", " "))


def shortfall(name: str, margin: float) -> str:
    """What a constraint's margin falls short of zero, with its unit; empty where it does not."""
    if margin >= 0:
        return ""
    unit = f"{NBSP}points" if name.startswith("accuracy") else f"{NBSP}%"
    return f"{-100 * margin:.2g}{unit}" if margin > -0.1 else f"{-100 * margin:.0f}{unit}"


def _asked_and_reached(name: str, result: Document, design: Document) -> tuple[str, str]:
    match name:
        case "accuracy_clean":
            return f"at least {percent(result['requirements'][name])}", percent(design[name])
        case "accuracy_faulty":
            measured = design[name]
            asked = f"at least {percent(result['requirements'][name])} at the lower end of the interval"
            return asked, interval(measured)
        case "latency_cycles":
            return f"at most {result['requirements'][name]} cycles", f"{count(design['resources'][name])} cycles"
        case "capacity":
            return f"fits the {result['hardware']['board']}", _use_of_board(result, design)
    return "not negative", f"margin {design['margins'][name]:g}"


def _use_of_board(result: Document, design: Document) -> str:
    """Share that is used of what the board runs out of first."""
    there, used = result["hardware"]["capacity"], design["resources"]
    names = {"lut": "LUTs", "ff": "FFs", "dsp": "DSPs", "bram_18k": "18K BRAMs"}
    shares = {title: (used[name] or 0) / there[name] for name, title in names.items() if there[name]}
    if lacking := [title for name, title in names.items() if not there[name] and used[name]]:
        return f"needs {', '.join(lacking)}, which the board does not have"
    if not shares:
        return "not given"
    scarcest = max(shares, key=lambda key: shares[key])
    return f"uses {percent(shares[scarcest], 1)} of the {scarcest}, its scarcest resource"


def faults(result: Document) -> list[str]:
    """The fault model in sentences."""
    model = result["faults"]
    where = "; ".join(f"{target} ({_TARGETS.get(target, target)})" for target in model["targets"])
    how = (
        f"exactly {model['n_flips']} in each trial"
        if model["ber"] is None
        else f"with a bit error rate of {rate(model['ber'])} per bit and operation, or per stored bit"
    )
    return [
        f"Single bits flip in: {where}.",
        f"They flip {how}; {_LIFETIMES.get(model['lifetime'], model['lifetime'])}.",
        f"A trial is one drawn set of faults, evaluated on all {result['verification']['samples']} test samples; "
        f"{_trials(result)}.",
    ]


def _trials(result: Document) -> str:
    most = chosen(result)["accuracy_faulty"]["trials"]
    least = min(design["accuracy_faulty"]["trials"] for design in result["evaluations"])
    if least == most:
        return f"every design is measured over {most} trials"
    return (
        f"designs are measured over {least} to {most} trials, no more than it takes to tell whether they meet the "
        f"requirement, and those of the comparison over {most}"
    )


def binding(result: Document) -> str:
    """Which constraint keeps most designs from being feasible."""
    name = chosen(result)["binding"]
    seen, total = result["constraints"][name], len(result["evaluations"])
    if seen["met_by"]:
        return f"The constraint that binds is {label(name)}: {seen['met_by']} of {total} designs meet it."
    missing = shortfall(name, seen["best_margin"])
    return f"The constraint that binds is {label(name)}: no design meets it, the best one misses it by {missing}."


def fault_load(result: Document) -> str:
    """The strength of the faults in a few words."""
    model = result["faults"]
    return f"{model['n_flips']} flips a trial" if model["ber"] is None else f"bit error rate {rate(model['ber'])}"


def words(result: Document) -> list[str]:
    """The chosen design in sentences."""
    design = chosen(result)["design"]
    hardware = result["hardware"]
    return [
        f"Weights have {design['weight_bits']} bits, activations {design['activation_bits']}.",
        *_neurons_in_words(result, design),
        _mechanism_in_words(design),
        *_parameters_in_words(design),
        f"It is written as an HLS project for {hardware['backend']} and the part {hardware['capacity']['part']} "
        f"({hardware['board']}), with a clock of {hardware['clock_ns']:g}{NBSP}ns, strategy {design['strategy']} and "
        f"reuse factor {design['reuse_factor']}.",
    ]


def _neurons_in_words(result: Document, design: Document) -> list[str]:
    bits = [layer["hardened_bits"] for layer in result["layers"]]
    total = sum(map(len, bits))
    marked = _important(design, [len(layer) for layer in bits])
    widest = max(layer["accumulator_bits"] for layer in result["layers"])
    important, normal = (_bits_in_words(design[f"hardened_bits_{kind}"], widest) for kind in ("important", "normal"))
    hardened = sum(1 for layer in bits for h in layer if h)
    counted = f"In all, {hardened} of {total} neurons are hardened."
    if budget := design.get("protection_budget", 0):  # earlier runs have none
        share = percent(budget, 1)
        where = "each layer" if design["importance_scope"] == "layer" else "the network"
        return [
            f"The bits hardened are those of {where} that remove the most vulnerability for their cost, within {share} "
            f"of what hardening every bit costs (vulnerability by the score {design['importance_score']}).",
            counted,
        ]
    if marked == total:
        return [f"Every neuron counts as important and has {important}.", counted]
    if marked == 0:
        return [f"No neuron counts as important; every one has {normal}.", counted]
    scope = "in its layer" if design["importance_scope"] == "layer" else "in the whole network"
    split = f"The {marked} of {total} neurons with the highest importance score {scope} have {important}, the others "
    return [split + f"{normal}.", counted]


def _important(design: Document, neurons: list[int]) -> int:
    """How many neurons count as important, rounded as the selection rounds."""
    share = design["important_fraction"]
    groups = neurons if design["importance_scope"] == "layer" else [sum(neurons)]
    return sum(round(share * size) for size in groups)


def _bits_in_words(hardened: int, widest: int) -> str:
    if hardened >= widest:
        return "all accumulator bits hardened"
    if hardened == 0:
        return "no hardened bits"
    return f"{hardened} hardened most significant bit{'s' if hardened > 1 else ''}"


def _mechanism_in_words(design: Document) -> str:
    arithmetic = {"adder": "adders", "mac": "multipliers and adders"}
    copied = arithmetic.get(design["hardened_scope"], design["hardened_scope"])
    match design["mechanism"]:
        case "tmr":
            return f"The {copied} of a hardened bit exist three times, behind a bitwise majority voter."
        case "dmr":
            return (
                f"The {copied} of a hardened bit exist twice; where the copies differ a flag is raised and the "
                "neuron's sum becomes zero."
            )
    return (
        f"A shared unit of {design['dot_size']} multipliers in each layer computes hardened neurons twice more, and "
        "their hardened bits are voted."
    )


def _parameters_in_words(design: Document) -> list[str]:
    codes = {
        "tmr": "stored three times and voted as they are read",
        "parity": "stored with a parity bit; a damaged one is read as zero and flagged",
        "ecc": "stored in a code that corrects one flip in a word and finds two",
    }
    code = codes.get(design["parameters"])
    return [f"Weights and biases are {code}."] if code else []


def source(resources: Document) -> str:
    """Where resource figures come from, with what they are worth."""
    name = resources["source"]
    meaning = _SOURCES.get(name)
    return f"{name} ({resources['tool_version']}{': ' + meaning if meaning else ''})"


def protection_luts(result: Document, design: Document) -> int | None:
    """LUTs over the unprotected network, None where a source does not say."""
    plain, own = result["baselines"]["unprotected"]["resources"]["lut"], design["resources"]["lut"]
    return None if plain is None or own is None else own - plain


def in_luts(result: Document) -> bool:
    """Whether the search's cost is the number of LUTs and nothing else."""
    shown = [*result["evaluations"], *contest(result).values()]
    return all(design["cost"] == design["resources"]["lut"] for design in shown)


def variables(result: Document) -> tuple[dict[str, str], dict[str, str]]:
    """Design variables that differ between evaluations (name and label), and those that do not (label and value)."""
    designs = [evaluation["design"] for evaluation in result["evaluations"]]
    names = [name for name in _VARIABLES if name in designs[0]]
    names += sorted(set(designs[0]) - set(names))
    varied = {name: variable(name) for name in names if len({d[name] for d in designs}) > 1}
    fixed = {variable(name): setting(name, designs[0][name]) for name in names if name not in varied}
    if "activation_bits" in varied and all(d["activation_bits"] == d["weight_bits"] for d in designs):
        del varied["activation_bits"]
        varied["weight_bits"] = "weight and activation bits"
    return varied, fixed


def variable(name: str) -> str:
    """A design variable's name for people."""
    return _VARIABLES.get(name, name.replace("_", " "))


def setting(name: str, value: Any) -> str:
    """A variable's value as a table shows it."""
    return percent(value, 1) if name in ("important_fraction", "protection_budget") else str(value)


@dataclass(frozen=True)
class LayerFacts:
    """Protection of one layer. `levels` holds a shade of 0..5 for each neuron: the hardened share of its bits."""

    name: str
    shape: str
    accumulator_bits: int
    bits: list[int]
    levels: list[int]
    hardened: int

    @property
    def summary(self) -> str:
        low, high = min(self.bits), max(self.bits)
        spread = f"{low} bits each" if low == high else f"{low} to {high} bits"
        own = self.accumulator_bits
        return f"{self.hardened} of {len(self.bits)} neurons hardened, {spread}, of {own} accumulator bits"


def layers(result: Document) -> list[LayerFacts]:
    """Protection of every computing layer, from input to output."""
    return [_layer(given) for given in result["layers"]]


def _layer(given: Document) -> LayerFacts:
    bits, width = given["hardened_bits"], given["accumulator_bits"]
    return LayerFacts(
        name=given["name"],
        shape=" × ".join(map(str, given["shape"])),  # noqa: RUF001 the multiplication sign is meant
        accumulator_bits=width,
        bits=bits,
        levels=[-(-5 * h // width) for h in bits],  # rounded up, so that one hardened bit is already visible
        hardened=sum(1 for h in bits if h),
    )


def pareto(evaluations: list[Document]) -> list[Document]:
    """Designs than which none is both cheaper and more accurate under faults, cheapest first."""
    front: list[Document] = []
    for design in sorted(evaluations, key=lambda e: (e["cost"], -e["accuracy_faulty"]["mean"])):
        if not front or design["accuracy_faulty"]["mean"] > front[-1]["accuracy_faulty"]["mean"]:
            front.append(design)
    return front


def best_so_far(evaluations: list[Document]) -> list[tuple[int, float]]:
    """(number, cost) of each evaluation that improved on all feasible ones before it."""
    steps: list[tuple[int, float]] = []
    for number, evaluation in enumerate(evaluations):
        if evaluation["feasible"] and (not steps or evaluation["cost"] < steps[-1][1]):
            steps.append((number, evaluation["cost"]))
    return steps


def starting(result: Document) -> list[int]:
    """Places among the evaluations of those that are starting designs; runs of earlier versions say nothing of it."""
    steps = result.get("explanation", {}).get("convergence", [])
    begun = {step["id"] for step in steps if step["starting"]}
    return [place for place, evaluation in enumerate(result["evaluations"]) if evaluation["id"] in begun]
