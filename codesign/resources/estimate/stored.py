"""Parameters that are stored: their memory, its code, and what reading it takes."""

from codesign.codes import Code
from codesign.fixed import FixedPoint
from codesign.network import Layer
from codesign.protection import LayerPlan
from codesign.resources.estimate.figures import Area
from codesign.resources.estimate.logic import Memory, decoder_levels, decoder_luts, flag_luts
from codesign.resources.policy import EstimatePolicy

# The flags that reading a coded parameter can raise.
FLAGS = {
    Code.NONE: set[str](),
    Code.TMR: {"corrected"},
    Code.PARITY: {"detected"},
    Code.ECC: {"corrected", "detected"},
}


def decoding_levels(layer: Layer, plan: LayerPlan) -> int:
    """Levels in front of the multipliers."""
    return decoder_levels(plan.parameters, layer.w.type.width) if layer.has_weights else 0


def stored_parameters(layer: Layer, plan: LayerPlan, policy: EstimatePolicy) -> Area:
    """Stored weights and biases: a word for every pass that holds the weights of all multipliers."""
    if layer.reuse_factor == 1:
        return Area()
    weights = stored(layer.reuse_factor, layer.per_pass * layer.neurons, layer.w.type, plan.parameters, policy)
    return weights + stored(1, layer.neurons, layer.b.type, plan.parameters, policy)


def stored(depth: int, n: int, of: FixedPoint, code: Code, policy: EstimatePolicy) -> Area:
    """`depth` lines of `n` parameters each, in a code, with a decoder for each that is read at once.

    One line alone is a constant unless it is coded. The copies of TMR are read through guards.
    """
    plain = Memory.of(depth, n * of.width, policy) if depth > 1 else Memory()
    if code is Code.NONE:
        return Area(function=plain.lut, bram_18k=plain.bram_18k)
    coded = Memory.of(depth, n * code.stored_width(of.width), policy)
    reading = n * decoder_luts(code, of.width) + len(FLAGS[code]) * flag_luts(n)
    return Area(
        function=plain.lut,
        parameters=code.copies * coded.lut - plain.lut + reading,
        guards=code.copies * n if code is Code.TMR else 0,
        bram_18k=code.copies * coded.bram_18k,
    )
