"""The cross-layer search: evaluation of designs, constrained Bayesian optimisation, and the run folder."""
