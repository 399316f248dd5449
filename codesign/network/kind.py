"""What a layer can be."""

from enum import StrEnum


class Kind(StrEnum):
    """Layer kinds. The first five compute and can be protected; the wiring moves values and has no registers."""

    DENSE = "dense"
    CONV = "conv"
    DEPTHWISE = "depthwise"
    BATCHNORM = "batchnorm"
    ADD = "add"
    RELU = "relu"
    ACTIVATION = "activation"
    MAX_POOL = "max_pool"
    AVERAGE_POOL = "average_pool"
    SOFTMAX = "softmax"
    ARGMAX = "argmax"
    CONCATENATE = "concatenate"
    RESHAPE = "reshape"
    PAD = "pad"
    UPSAMPLE = "upsample"


COMPUTING = (Kind.DENSE, Kind.CONV, Kind.DEPTHWISE, Kind.BATCHNORM, Kind.ADD)
WIRING = (Kind.CONCATENATE, Kind.RESHAPE, Kind.PAD, Kind.UPSAMPLE)
WITH_WEIGHTS = (Kind.DENSE, Kind.CONV, Kind.DEPTHWISE, Kind.BATCHNORM)
MERGING = (Kind.ADD, Kind.CONCATENATE)
