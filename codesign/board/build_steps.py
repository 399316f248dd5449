"""What a vendor's tool is at, from a line of its log."""

import re

# Vivado HLS and Vitis HLS; Vivado; v++. Groups fill the text.
_STEPS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"INFO: \[HLS 200-10\] Analyzing design file '(?:.*/)?([^/']+)'", "reading {}"),
        (r"INFO: \[HLS 200-10\] Starting code transformations", "code transformations"),
        (r"INFO: \[HLS 200-(?:10|42)\] -- Implementing module '(\w+)'", "scheduling {}"),
        (r"INFO: \[HLS 200-10\] -- Generating RTL for module '(\w+)'", "RTL of {}"),
        (r"INFO: \[IMPL 213-8\] Exporting RTL as a Vivado IP", "export of the IP core"),
        (r"(?:Command: |Starting )synth_design\b", "synthesis"),
        (r"Finished RTL Elaboration", "synthesis: elaborated"),
        (r"Finished Technology Mapping", "synthesis: mapped"),
        (r"Starting Logic Optimization Task", "logic optimisation"),
        (r"Starting Placer Task", "placement"),
        (r"Starting Physical Synthesis Task", "physical optimisation"),
        (r"Starting Routing Task", "routing"),
        (r"Command: write_bitstream\b", "bitstream"),
        (r"INFO: \[v\+\+ .*\] .*Step (\w+): Started", "{}"),
        (r"INFO: \[VPL .*\] Step (\w+): Started", "link: {}"),
    )
)


def step_of(line: str) -> str | None:
    """The step that begins with a line of the log; None for all other lines."""
    for pattern, text in _STEPS:
        if found := pattern.search(line):
            return text.format(*found.groups())
    return None
