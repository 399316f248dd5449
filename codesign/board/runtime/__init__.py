"""The accelerator on a PYNQ board: predictions, flags, self-test. Needs numpy and pynq, and Python 3.8 or later.

    from codesign_runtime import Accelerator
    accelerator = Accelerator.load("/home/xilinx/codesign/digits-pynq-z2")
    accelerator.predict(inputs)

The same on the command line: `python -m codesign_runtime FOLDER check --json`.
"""

from .accelerator import Accelerator, Figures, Flags, Traced
from .check import check, self_test
from .errors import AcceleratorError, InputError, LostError, OverlayError, PackageError, TransferError
from .replay import Replayed, replay

__all__ = [
    "Accelerator",
    "AcceleratorError",
    "Figures",
    "Flags",
    "InputError",
    "LostError",
    "OverlayError",
    "PackageError",
    "Replayed",
    "Traced",
    "TransferError",
    "check",
    "replay",
    "self_test",
]
