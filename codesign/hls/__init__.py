"""From Network and ProtectionPlan to a complete HLS project, and the C-simulation of that project."""
