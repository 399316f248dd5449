"""What is counted of a part, of a layer, and of a layer before its cycles are known."""

from dataclasses import dataclass, fields

from codesign.resources.estimate.logic import COUNTER_BITS, Memory, counter_luts

CAUSES = ("function", "replicas", "voters", "guards", "parameters", "status")


@dataclass(frozen=True, kw_only=True)
class Area:
    """LUTs by cause, and the other primitives.

    `function` is what the unprotected layer takes, whatever the plan; `replicas` the copies of its arithmetic,
    or the unit that recomputes; `voters` majority and comparison; `guards` what keeps copies apart;
    `parameters` copies, check bits and decoders of stored parameters; `status` flags and counters of events.
    `casts` of the `function` are casts and ReLUs, `status_ff` of the `ff` are status registers.
    """

    function: int = 0
    replicas: int = 0
    voters: int = 0
    guards: int = 0
    parameters: int = 0
    status: int = 0
    casts: int = 0
    dsp: int = 0
    bram_18k: int = 0
    ff: int = 0
    status_ff: int = 0

    def __add__(self, other: "Area") -> "Area":
        return Area(**{name: getattr(self, name) + getattr(other, name) for name in _FIGURES})

    @property
    def lut(self) -> int:
        return self.function + self.replicas + self.voters + self.guards + self.parameters + self.status

    def figures(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in _FIGURES}


_FIGURES = tuple(field.name for field in fields(Area))


@dataclass(frozen=True, kw_only=True)
class LayerEstimate(Area):
    """One layer.

    Levels are the depth of logic of the deepest neuron, `latency_cycles` of all layers sum to the network's, `ii` are
    the cycles from one input to the next that the layer could take.
    """

    name: str
    input_levels: int = 0
    multiplier_levels: int = 0
    adder_levels: int = 0
    voter_levels: int = 0
    activation_levels: int = 0
    latency_cycles: int = 0
    ii: int = 1

    @property
    def levels(self) -> int:
        return (
            self.input_levels + self.multiplier_levels + self.adder_levels + self.voter_levels + self.activation_levels
        )


@dataclass(frozen=True)
class Boundary:
    """Where a register can stand: after so many levels of its layer, holding so many bits."""

    level: int
    bits: int


@dataclass(frozen=True)
class Costed:
    """A layer before its cycles are known.

    `boundaries` are in ascending order of level; `bits` are those of all values that leave; `shared` says whether
    neurons share adders.
    """

    layer: LayerEstimate
    boundaries: tuple[Boundary, ...]
    bits: int
    shared: bool = False


def table(memory: Memory) -> Area:
    """A memory that the unprotected layer has as well."""
    return Area(function=memory.lut, bram_18k=memory.bram_18k)


def status(n_flags: int) -> Area:
    """Of each flag that a layer can raise its sticky bit and a counter of samples."""
    registers = n_flags * (1 + COUNTER_BITS)
    return Area(status=n_flags * counter_luts(), ff=registers, status_ff=registers)
