"""Training with QKeras and conversion to integer networks; the only importer of TensorFlow.

Importing this package is cheap: TensorFlow and hls4ml are loaded when something has to be trained.
"""

from codesign.train.builder import Builder, Data, Quantisation, data, load_builder
from codesign.train.training import TrainedNetwork, train

__all__ = ["Builder", "Data", "Quantisation", "TrainedNetwork", "data", "load_builder", "train"]
