"""Co-design of quantised neural networks and fault-tolerant FPGA accelerators."""

__version__ = "0.1.0"
