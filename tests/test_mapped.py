"""Mapped designs: the plan's copies are there and apart, merged ones are refused, the cache bears accidents."""

import copy
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import small_network
from studies import COMMAND, ended, until
from test_rtl import drawn

import codesign.resources.yosys as yosys
from codesign.errors import ConfigError, ReportError, ToolError
from codesign.fixed import FixedPoint
from codesign.network import Layer, Network, Parameter
from codesign.protection import Mechanism, ProtectionPlan
from codesign.resources.mapping import Mapped, family_of, map_flat, map_modules
from codesign.resources.netlist import Netlist
from codesign.resources.redundancy import check_redundancy, prove
from codesign.resources.rtl import Rtl, rtl
from codesign.resources.rtl.verilog import Module
from codesign.resources.synthesis import synthesise, write_rtl

pytest.importorskip("pyosys", reason="Yosys is not installed: pip install pyosys")

GOLDEN = Path(__file__).parent / "data" / "golden" / "rtl"
INVERTER = Module("inverter", "module inverter (\n  input wire a,\n  output wire y\n);\n  assign y = ~a;\nendmodule\n")
BROKEN = Module("broken", "module broken (\n  input wire a\n);\n  nonsense\nendmodule\n")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mapped")


@pytest.fixture(scope="module")
def protected() -> tuple[Rtl, ProtectionPlan]:
    """Neurons with no copies, with copies of some bits, and with copies of all."""
    network = small_network()
    bits = {layer.name: np.resize([0, 3, layer.acc.width, 6], layer.neurons) for _, layer in network.compute_layers()}
    plan = ProtectionPlan.of(network, bits)
    return rtl(network, plan, 2), plan


# ---------------------------------------------------------------- redundancy


def test_random_designs_have_exactly_the_plans_copies(cache: Path) -> None:
    designs = [(rtl(network, plan, levels), plan) for network, plan, levels in drawn(16)]
    every = {name: module for design, _ in designs for name, module in design.top.every().items()}
    mapped, found = map_modules(every, cache=cache), 0
    for design, plan in designs:
        wanted = sum(layer.mechanism.copies * len(design.hardened.get(layer.layer, ())) for layer in plan.layers)
        assert prove(design, mapped, plan) == wanted
        found += wanted
    assert found > 40


def test_two_guards_of_one_bit_do_not_cancel(cache: Path) -> None:
    """Of y = 15x + 19 the sum's three highest bits take one carry, and one varying bit beside a constant."""
    scale, offset = (Parameter([raw], FixedPoint(6, 2)) for raw in (15, 19))
    norm = Layer.batchnorm("norm", (1,), scale, offset, FixedPoint(10, 3))
    network = Network("net", FixedPoint(3, 0), (norm,))
    plan = ProtectionPlan.of(network, {"norm": np.array([3])})
    assert synthesise(network, plan, cache=cache).copies == 3


def test_a_plan_of_more_or_fewer_copies_is_not_met(protected: tuple[Rtl, ProtectionPlan], cache: Path) -> None:
    design, plan = protected
    mapped = map_modules(design.top.every(), cache=cache)
    other = ProtectionPlan(tuple(replace(layer, mechanism=Mechanism.DMR) for layer in plan.layers))
    with pytest.raises(ReportError, match="layer 'fc0': n1_copy2 is not in the plan"):
        prove(design, mapped, other)
    bits = plan.layers[0].hardened_bits
    fewer = replace(plan.layers[0], hardened_bits=(bits[0], 2, *bits[2:]))
    with pytest.raises(ReportError, match="layer 'fc0': n1_(voter|copy0) has not the plan's 2 bits"):
        prove(design, mapped, ProtectionPlan((fewer, *plan.layers[1:])))


def _voter_reads_one_copy_twice(cells: dict[str, Any]) -> None:
    cells["n1_voter"]["connections"]["a1"] = cells["n1_voter"]["connections"]["a0"]


def _copy_drives_another_ones_result(cells: dict[str, Any]) -> None:
    cells["n1_copy1"]["connections"]["y"] = cells["n1_copy0"]["connections"]["y"]


def _copy_is_gone(cells: dict[str, Any]) -> None:
    del cells["n1_copy1"]


def _voter_is_gone(cells: dict[str, Any]) -> None:
    del cells["n1_voter"]


def _guard_is_tied(cells: dict[str, Any]) -> None:
    cells["n1_copy2"]["connections"]["guard"] = ["0"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_voter_reads_one_copy_twice, "voted sum does not depend on copy 1"),
        (_copy_drives_another_ones_result, "no guard reaches copy 1"),
        (_copy_is_gone, "n1_copy1 is missing"),
        (_voter_is_gone, "n1_voter is missing"),
        (_guard_is_tied, "no guard reaches copy 2"),
    ],
)
def test_changed_netlists_are_refused(
    change: Callable[[dict[str, Any]], None], said: str, protected: tuple[Rtl, ProtectionPlan], cache: Path
) -> None:
    design, plan = protected
    mapped = map_modules(design.top.every(), cache=cache)
    name = design.layers["fc0"].name
    netlist = copy.deepcopy(dict(mapped[name].netlist))
    change(netlist["cells"])
    with pytest.raises(ReportError, match=f"layer 'fc0'.*({said})"):
        prove(design, {**mapped, name: Mapped.of(netlist)}, plan)


def without_guards(module: Module) -> Module:
    parts = tuple(map(without_guards, module.parts))
    return Module(module.name, module.text.replace("guard[0]", "1'b0"), parts)


def test_copies_without_guards_are_merged_in_a_flat_design_and_that_is_refused(
    protected: tuple[Rtl, ProtectionPlan], cache: Path
) -> None:
    design, plan = protected
    top = without_guards(design.top)
    with pytest.raises(ReportError, match="the tool has merged them, and the protection is not there"):
        check_redundancy(Netlist.of(map_flat(top, cache=cache), top.name), design.hardened, plan)


def test_guards_keep_the_adders_of_a_flat_design_apart(protected: tuple[Rtl, ProtectionPlan], cache: Path) -> None:
    """Not each of their LUTs: docs/limits.md."""
    design, _ = protected
    kept = sum(mapped.carry for mapped in _instances(design.top, map_modules(design.top.every(), cache=cache)))
    guarded = map_flat(design.top, cache=cache)[design.top.name].carry
    bare = map_flat(without_guards(design.top), cache=cache)[design.top.name].carry
    assert bare < 0.8 * guarded and guarded > 0.9 * kept


def _instances(module: Module, mapped: dict[str, Mapped]) -> list[Mapped]:
    """Of every instance below a module, itself included."""
    below = [
        found
        for part in module.parts
        for _ in range(mapped[module.name].cells[part.name])
        for found in _instances(part, mapped)
    ]
    return [mapped[module.name], *below]


# ---------------------------------------------------------------- Verilog


def test_verilog_is_the_golden_one(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """`pytest --golden-update` writes it again; look at the difference before committing it."""
    network = small_network()
    bits = {layer.name: np.resize([0, 3], layer.neurons) for _, layer in network.compute_layers()}
    written = write_rtl(network, ProtectionPlan.of(network, bits), tmp_path)
    golden = GOLDEN / written.name
    if request.config.getoption("--golden-update"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(written.read_text())
    assert written.read_text() == golden.read_text()


# ---------------------------------------------------------------- the cache, and a Yosys that fails


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"{}" + data],
    ids=["truncated", "empty", "foreign"],
)
def test_damaged_files_of_the_cache_are_mapped_again(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    first = map_modules({"inverter": INVERTER}, cache=tmp_path)["inverter"]
    (file,) = tmp_path.rglob("*.json.gz")
    file.write_bytes(damage(file.read_bytes()))
    again = map_modules({"inverter": INVERTER}, cache=tmp_path)["inverter"]
    assert again.cells == first.cells == {"INV": 1} and again.netlist == first.netlist
    assert Mapped.unpacked(file.read_bytes()).cells == first.cells


def test_a_failing_yosys_shows_its_error_and_keeps_its_log(tmp_path: Path) -> None:
    with pytest.raises(
        ToolError, match=r"Yosys failed: .*ERROR: syntax error.* \(log: .*failed-broken\.log\)"
    ) as found:
        map_modules({"broken": BROKEN}, cache=tmp_path)
    assert found.value.log is not None and "syntax error" in found.value.log.read_text()


@pytest.mark.parametrize(
    ("child", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", r"was ended by SIGKILL, as the system does where memory runs out"),
        ("import time; time.sleep(60)", r"took more than 0.5 s: use --source estimate"),
        ("import no_such_library", "failed: ModuleNotFoundError: No module named 'no_such_library'"),
        ("open('result.json', 'w').write('{\"modules\": ')", "wrote a netlist that is cut short: is there room"),
        ("pass", "failed: exit code 0"),
    ],
)
def test_a_yosys_that_ends_otherwise(child: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yosys, "_CHILD", child)
    limit_s = 0.5 if "sleep" in child else 60
    with pytest.raises(ToolError, match=f"^Yosys {said}.*log: "):
        list(yosys.run_all([yosys.Batch(("inverter",), {"source.v": INVERTER.text}, "")], tmp_path, limit_s))
    assert (tmp_path / "failed-inverter.log").exists()


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "yosys").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot write .*yosys"):
        map_modules({"inverter": INVERTER}, cache=tmp_path)


def test_an_interrupt_ends_the_children(tmp_path: Path) -> None:
    network, folder = small_network(), tmp_path / "temporary"
    folder.mkdir()
    network.save(tmp_path / "network.npz")
    environment = {"CODESIGN_CACHE": str(tmp_path / "cache"), "TMPDIR": str(folder)}
    process = subprocess.Popen(
        [*COMMAND, "resources", str(tmp_path / "network.npz"), "--source", "yosys"],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    found: list[str] = []
    for _ in range(6000):
        if process.poll() is not None:
            break
        if list(folder.glob("codesign-yosys-*/*/yosys.log")) and (found := children.read_text().split()):
            break
        time.sleep(0.01)
    assert found, "no child was started"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Traceback" not in stderr and b"interrupted" in stderr
    until(lambda: all(map(ended, map(int, found))))
    assert list(folder.iterdir()) == []


def test_two_processes_may_share_a_cache(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; sys.path[:0] = ['tests']; from test_mapped import INVERTER, map_modules; "
        "print(map_modules({'inverter': INVERTER}, cache=pathlib.Path(sys.argv[1]))['inverter'].lut)"
    )
    command = [COMMAND[0], "-c", code, str(tmp_path)]
    root = Path(__file__).parent.parent
    both = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=120)[0] for process in both] == ["1\n", "1\n"]


# ---------------------------------------------------------------- figures


@pytest.mark.parametrize(
    ("part", "family"),
    [
        ("xc7z020clg400-1", "xc7"),
        ("xczu9eg-ffvb1156-2-e", "xcup"),
        ("xcu250-figd2104-2L-e", "xcup"),
        ("xcvu9p-flga2104-2L-e", "xcup"),
        ("XC7K325T", "xc7"),
    ],
)
def test_a_part_tells_its_family(part: str, family: str) -> None:
    assert family_of(part) == family


@pytest.mark.parametrize("part", ["xcku040-ffva1156", "xc6slx9", "10AX115", ""])
def test_other_parts_are_refused(part: str) -> None:
    with pytest.raises(ConfigError, match="choose what to map to, --family xc7 or xcup"):
        family_of(part)


def test_layers_and_causes_add_up(cache: Path) -> None:
    network = small_network()
    found = synthesise(network, ProtectionPlan.full(network), cache=cache)
    document = found.to_json()
    assert document["lut"] == sum(document["lut_by_cause"].values()) == sum(x["lut"] for x in document["layers"])
    assert document["ff"] == sum(layer["ff"] for layer in document["layers"])
    assert document["copies"] == 3 * sum(layer.neurons for _, layer in network.compute_layers())
    whole = _instances(found.design.top, dict(found.modules))
    assert document["lut"] == sum(mapped.lut for mapped in whole)
