"""Where a sliding window stands on an image: kernel, strides and padding."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from codesign.errors import ConfigError
from codesign.fixed import Ints

Shape = tuple[int, ...]
Padding = Literal["valid", "same"] | tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Window:
    """The window that slides over an image of `in_shape` (height, width, channels); 1-D data has height 1."""

    in_shape: tuple[int, int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    @classmethod
    def over(cls, shape: Shape, kernel: Shape, strides: Shape, padding: Padding) -> "Window":
        """From one- or two-dimensional descriptions; "same" pads as TensorFlow does, the odd one behind."""
        if len(shape) not in (2, 3) or len(kernel) != len(shape) - 1 or len(strides) != len(kernel):
            raise ConfigError(f"a window of kernel {kernel} and strides {strides} does not fit inputs of shape {shape}")
        if min(kernel + strides + shape) < 1:
            raise ConfigError(f"a window needs positive sizes, got {kernel}, strides {strides}, on shape {shape}")
        if padding == "valid":
            pads: tuple[tuple[int, int], ...] = ((0, 0),) * len(kernel)
        elif padding == "same":
            pads = tuple(_same(n, k, s) for n, k, s in zip(shape, kernel, strides, strict=False))
        else:
            pads = tuple((int(before), int(after)) for before, after in padding)
        flat = 3 - len(shape)  # 1-D data become images of height one
        wide = ((1,) * flat + shape, (1,) * flat + kernel, (1,) * flat + strides, ((0, 0),) * flat + pads)
        return cls(*wide)  # type: ignore[arg-type]

    @property
    def out_hw(self) -> tuple[int, int]:
        (height, width, _), ((top, bottom), (left, right)) = self.in_shape, self.pads
        return (
            (height + top + bottom - self.kernel[0]) // self.strides[0] + 1,
            (width + left + right - self.kernel[1]) // self.strides[1] + 1,
        )

    @cached_property
    def places(self) -> Ints:
        """Input pixel under each place of the window, -1 in the padding; shape (output pixels, kernel places)."""
        (height, width, _), (rows, columns) = self.in_shape, self.out_hw
        y = np.arange(rows)[:, None] * self.strides[0] + np.arange(self.kernel[0]) - self.pads[0][0]
        x = np.arange(columns)[:, None] * self.strides[1] + np.arange(self.kernel[1]) - self.pads[1][0]
        inside_y, inside_x = (y >= 0) & (y < height), (x >= 0) & (x < width)
        pixel = y[:, None, :, None] * width + x[None, :, None, :]
        inside = inside_y[:, None, :, None] & inside_x[None, :, None, :]
        places: Ints = np.where(inside, pixel, -1).reshape(rows * columns, -1)
        return places

    def check(self, name: str) -> None:
        if min(self.out_hw) < 1:
            raise ConfigError(f"layer '{name}': kernel {self.kernel} is larger than the padded input {self.in_shape}")


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
