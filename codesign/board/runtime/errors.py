"""Errors of the runtime: one line each, saying what, where and what to do."""


class AcceleratorError(Exception):
    """Root of every error that this package raises on purpose."""


class PackageError(AcceleratorError):
    """The package is not whole, or is of another version."""


class InputError(AcceleratorError):
    """Inputs, a fault list or an argument are not what the accelerator takes."""


class OverlayError(AcceleratorError):
    """The bitstream cannot be loaded, or is not the package's."""


class TransferError(AcceleratorError):
    """The DMA reported an error, gave another number of bytes, or did not end in time."""


class LostError(TransferError):
    """The accelerator does not answer any more, not even after its bitstream was loaded again."""
