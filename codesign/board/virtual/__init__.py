"""A board for those who have none: PYNQ's own classes over a device whose accelerator is the C-simulation."""

from codesign.board.virtual.accelerator import Kind, Trouble, Until
from codesign.board.virtual.board import virtual_board, virtual_package

__all__ = ["Kind", "Trouble", "Until", "virtual_board", "virtual_package"]
