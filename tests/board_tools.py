"""Stand-ins for the vendor's tools: scripts that write what the real ones write, real reports among it."""

from pathlib import Path

from codesign.network import Network

REPORTS = Path(__file__).parent / "data" / "reports"
UTILIZATION = REPORTS / "vitis-2024.1-xcu250-conv1d" / "vivado_utilization.rpt"

# A board project's script, in short.
BUILD_SH = """set -eu
[ $# -gt 0 ] || set -- hls bitstream
for stage in "$@"; do
    case $stage in
    hls) if command -v vitis_hls; then vitis_hls; else vivado_hls; fi ;;
    bitstream) vivado ;;
    esac
done
"""
_COLUMNS = "  ".join(
    f"{slack}(ns)  {total}(ns)  {total} Failing Endpoints  {total} Total Endpoints"
    for slack, total in (("WNS", "TNS"), ("WHS", "THS"), ("WPWS", "TPWS"))
)


def timing_report(wns: str = "0.412", whs: str = "0.051") -> str:
    """A timing summary of a routed design, in the form of Vivado's, with its slowest setup path."""
    met = not (wns.startswith("-") or whs.startswith("-"))
    verdict = "All user specified timing constraints are met." if met else "Timing constraints are not met."
    state = "MET" if not wns.startswith("-") else "VIOLATED"
    return (
        "| Tool Version      : Vivado v.2024.1 (lin64) Build 5076996 Wed May 22 18:36:09 MDT 2024\n"
        "| Command           : report_timing_summary -file build/timing.rpt\n"
        "| Design            : design_1_wrapper\n\n"
        "| Design Timing Summary\n| ---------------------\n\n"
        f"    {_COLUMNS}\n    -------  ---\n    {wns} 0.000 0 153 {whs} 0.000 0 153 2.225 0.000 0 26\n\n\n{verdict}\n\n"
        "Max Delay Paths\n---\n"
        f"Slack ({state}) :        {wns}ns  (required time - arrival time)\n"
        "  Source:                 net_axi_0/inst/sum_reg[3]/C\n"
        "                            (rising edge-triggered cell FDRE clocked by clk_fpga_0)\n"
        "  Destination:            net_axi_0/inst/vote_reg[7]/D\n"
        "                            (rising edge-triggered cell FDRE clocked by clk_fpga_0)\n"
        "  Path Group:             clk_fpga_0\n"
        "  Path Type:              Setup (Max at Slow Process Corner)\n"
    )


def stand_in(tools: Path, name: str, body: str) -> None:
    """A tool that writes down how it was called, then does what `body` says."""
    tools.mkdir(exist_ok=True)
    script = tools / name
    script.write_text(f'#!/bin/sh\necho "{name} $*" >> called.txt\n{body}\n')
    script.chmod(0o755)


def hls_body() -> str:
    """What C-synthesis and the export leave."""
    line = "INFO: [HLS 200-42] -- Implementing module 'dense'"
    return f'echo "{line}"; mkdir -p build/ip; echo ip > build/ip/component.xml'


def vivado_body(timing: str) -> str:
    """What implementation leaves: a bitstream that is none, and real reports."""
    return (
        "echo Starting Placer Task; echo Starting Routing Task; mkdir -p build; echo bits > build/design.bit; "
        f"echo '<EDKSYSTEM/>' > build/design.hwh; cp {UTILIZATION} build/utilization.rpt; cp {timing} build/timing.rpt"
    )


def both(tools: Path, hls: str = "vivado_hls", wns: str = "0.412", whs: str = "0.051") -> None:
    """Tools of one generation that do what they should."""
    tools.mkdir(exist_ok=True)
    timing = tools / "timing.rpt"
    timing.write_text(timing_report(wns, whs))
    stand_in(tools, hls, hls_body())
    stand_in(tools, "vivado", vivado_body(timing))


def called(project: Path) -> list[str]:
    """The tools that were called since the last look."""
    path = project / "called.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [line.split()[0] for line in lines]


def board_json(network: Network, board: str) -> dict[str, object]:
    """What a board project's codesign.json has besides."""
    return {"board": board, "stream": {"bits": 64}, "registers": [], "upset_slots": 0, "top": f"{network.name}_axi"}
