"""Fault simulators in Python: the plain reference and the fast exact engine."""
