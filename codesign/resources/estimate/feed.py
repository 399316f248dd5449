"""What brings operands to the multipliers of a unit that is used more than once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codesign.fixed import FixedPoint
from codesign.network import Layer
from codesign.resources.estimate.figures import Area
from codesign.resources.estimate.logic import mux_luts
from codesign.resources.rtl.words import mux_levels


@dataclass(frozen=True)
class Feed:
    """What brings the operands of a pass to the multipliers.

    A unit that is used for several pixels gathers each pixel's window from the array of inputs into registers; one
    that works in passes chooses the operands of each from there.
    """

    layer: Layer
    sources: tuple[FixedPoint, ...]

    @cached_property
    def _choices(self) -> list[int]:
        """From how many pixels (with the padding) each place of the window chooses."""
        layer = self.layer
        if layer.window is None:
            return [layer.pixels]
        return [len(np.unique(column)) for column in layer.window.places.T]

    @property
    def _place_bits(self) -> int:
        """Bits at one place of the window."""
        n_values = self.layer.window.in_shape[2] if self.layer.window else self.layer.in_shapes[0][-1]
        return n_values * sum(source.width for source in self.sources)

    @property
    def _operand_bits(self) -> int:
        """Of a pass. All neurons see the same, or each its own channel."""
        several = self.layer.neurons if self.layer.per_channel else 1
        return self.layer.per_pass * several * self.sources[0].width

    @property
    def area(self) -> Area:
        gathering = self._place_bits * sum(mux_luts(n) for n in self._choices)
        choosing = self._operand_bits * mux_luts(self.layer.reuse_factor)
        window = self._place_bits * len(self._choices) if self.layer.pixels > 1 else 0
        return Area(function=gathering + choosing, ff=window)

    @property
    def levels(self) -> int:
        return mux_levels(max(self._choices)) + mux_levels(self.layer.reuse_factor)

    @property
    def bits(self) -> int:
        """Alive in front of the multipliers."""
        if self.layer.reuse_factor > 1:
            return self._operand_bits + self.layer.per_pass * self.layer.neurons * self.layer.w.type.width
        return self._place_bits * len(self._choices)
