"""The assumptions that a design's figures rest on."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from codesign.errors import ConfigError, one_of
from codesign.resources.factors import Calibration, shipped


class Strategy(StrEnum):
    """How products by constants become adders; the names of hls4ml's strategies.

    `LATENCY`: a tree of shifts and additions for each neuron, nothing shared. `DISTRIBUTED_ARITHMETIC`: one graph of
    adders for all neurons of a layer, found by da4ml.
    """

    LATENCY = "latency"
    DISTRIBUTED_ARITHMETIC = "distributed_arithmetic"


@dataclass(frozen=True)
class EstimatePolicy:
    """What a synthesis tool would choose, and how fast the fabric is.

    `dsp_min_bits`: a multiplication takes DSPs when both operands have as many bits;
    `dsp_tile`: operand widths of one DSP, signed (25 x 18 in a DSP48E1, AMD UG479), wider ones take several;
    `dsp_levels`: levels of logic that a multiplication in DSPs counts for;
    `strategy`: of every layer that can have it, `layer_strategies` of single layers, by name;
    `lutram_depth`: memories of more words are block RAM, others are LUTs;
    `level_ns`: delay of one level, an adder of typical width with its routing;
    `clock_uncertainty`: share of the period kept back (default of Vivado HLS; Vitis HLS keeps 0.27);
    `calibration`: what the counts were fitted to.
    """

    dsp_min_bits: int = 10
    dsp_tile: tuple[int, int] = (25, 18)
    dsp_levels: int = 3
    strategy: Strategy = Strategy.LATENCY
    layer_strategies: tuple[tuple[str, Strategy], ...] = ()
    lutram_depth: int = 64
    level_ns: float = 1.25
    clock_uncertainty: float = 0.125
    calibration: Calibration = field(default_factory=shipped)

    @classmethod
    def of(cls, strategy: str, dsp_min_bits: int) -> "EstimatePolicy":
        """With the choices of a design. Raises ConfigError for a strategy that does not exist."""
        return cls(strategy=one_of("strategy", strategy, tuple(Strategy)), dsp_min_bits=dsp_min_bits)

    def __post_init__(self) -> None:
        for strategy in (self.strategy, *(of for _, of in self.layer_strategies)):
            one_of("strategy", strategy, tuple(Strategy))
        if min(self.dsp_min_bits, self.dsp_levels, self.lutram_depth, *(side - 1 for side in self.dsp_tile)) < 1:
            raise ConfigError(
                "estimate policy: dsp_min_bits, dsp_levels and lutram_depth must be at least 1, dsp_tile (2, 2)"
            )
        if not (math.isfinite(self.level_ns) and self.level_ns > 0 and 0 <= self.clock_uncertainty < 1):
            raise ConfigError("estimate policy: level_ns must be > 0, clock_uncertainty in 0..1 (1 excluded)")

    def strategy_of(self, layer: str) -> Strategy:
        """What a layer is asked to have."""
        return Strategy(dict(self.layer_strategies).get(layer, self.strategy))

    def levels_per_cycle(self, clock_ns: float) -> int:
        """Levels of logic that fit between two registers. Raises ConfigError where not one does."""
        if not (math.isfinite(clock_ns) and clock_ns > 0):
            raise ConfigError(f"clock_ns is {clock_ns}, expected nanoseconds > 0")
        levels = int(clock_ns * (1 - self.clock_uncertainty) / self.level_ns)
        if levels < 1:
            least = self.level_ns / (1 - self.clock_uncertainty)
            raise ConfigError(f"clock_ns {clock_ns:g} is too short for one level of logic, {least:.3g} ns are needed")
        return levels
