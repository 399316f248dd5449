"""Boards: capacities, strict reading, and what does not fit."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from codesign import assets
from codesign.assets import asset
from codesign.board.boards import Board, board_names, load_board
from codesign.errors import ConfigError
from codesign.resources.report import ResourceReport

# Typed from the data sheets DS190 (Z-7020), DS891 (ZU3EG, ZU7EV, ZU9EG), DS889 (ZU28DR), DS987 (K26) and DS962 (U250),
# BRAM as blocks of 18 Kb.
DATA_SHEET = {
    "kv260": ("xck26-sfvc784-2LV-c", 117_120, 234_240, 1_248, 288, 64),
    "pynq-z1": ("xc7z020clg400-1", 53_200, 106_400, 220, 280, 0),
    "pynq-z2": ("xc7z020clg400-1", 53_200, 106_400, 220, 280, 0),
    "rfsoc2x2": ("xczu28dr-ffvg1517-2-e", 425_280, 850_560, 4_272, 2_160, 80),
    "u250": ("xcu250-figd2104-2L-e", 1_728_000, 3_456_000, 12_288, 5_376, 1_280),
    "ultra96v2": ("xczu3eg-sbva484-1-i", 70_560, 141_120, 360, 432, 0),
    "zcu102": ("xczu9eg-ffvb1156-2-e", 274_080, 548_160, 2_520, 1_824, 0),
    "zcu104": ("xczu7ev-ffvc1156-2-e", 230_400, 460_800, 1_728, 624, 96),
}


def report(lut: int | None = 0, ff: int | None = 0, dsp: int | None = 0, bram_18k: int | None = 0) -> ResourceReport:
    return ResourceReport(lut, ff, dsp, bram_18k, 10, 1, 5.0, "estimate", "test")


def changed_file(folder: Path, old: str, new: str) -> Path:
    text = (asset("boards") / "pynq-z2.toml").read_text()
    assert old in text
    path = folder / "mine.toml"
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize("name", DATA_SHEET)
def test_capacities_are_those_of_the_data_sheets(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert (board.part, board.lut, board.ff, board.dsp, board.bram_18k, board.uram) == DATA_SHEET[name]
    assert board.source.startswith("AMD DS")


def test_a_slice_holds_two_registers_for_each_table() -> None:
    """Of the 7 series and of UltraScale+ alike: a figure that was typed wrongly would break it."""
    for name in board_names():
        board = load_board(name)
        assert board.ff == 2 * board.lut, name


def test_the_documented_table_is_that_of_the_files() -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "boards.md"
    rows = {}
    for name in board_names():
        b = load_board(name)
        figures = " | ".join(f"{figure:,}" for figure in (b.lut, b.ff, b.dsp, b.bram_18k, b.uram))
        device = b.part.split("-")[0].upper() if b.family != "zynq7000" else "XC7Z020"
        clock = f"{b.clock_ns:g} ns"
        rows[name] = f"| `{name}` | {device} | `{b.family}` | `{b.flow}` | {clock} | {figures} | {b.axi_bits} bits |"
    lines = [line for line in page.read_text().splitlines() if line.startswith("| `") and line.endswith(" bits |")]
    assert lines == [*rows.values()]


def test_each_family_has_its_ports() -> None:
    boards = {name: load_board(name) for name in board_names()}
    assert {name for name, board in boards.items() if board.family == "zynq7000"} == {"pynq-z1", "pynq-z2"}
    assert {board.family for board in boards.values()} == {"zynq7000", "zynqmp", "alveo"}
    widths = {"zynq7000": 64, "zynqmp": 128, "alveo": 512}
    assert all(board.axi_bits == widths[board.family] for board in boards.values())
    assert [name for name, board in boards.items() if board.platform] == ["u250"]


def test_every_shipped_board_is_listed_and_loads() -> None:
    assert board_names() == sorted(DATA_SHEET)
    assert [load_board(name).name for name in board_names()] == board_names()


def test_unknown_board_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown board 'pynq_z2'; did you mean 'pynq-z2'\?"):
        load_board("pynq_z2")


def test_a_name_like_no_other_lists_all_boards() -> None:
    with pytest.raises(ConfigError, match="known are kv260, pynq-z1, pynq-z2"):
        load_board("qqqqqqq")


def test_a_board_file_of_the_user_is_read(tmp_path: Path) -> None:
    board = load_board(changed_file(tmp_path, "lut = 53_200", "lut = 1_000"))
    assert (board.lut, board.ff) == (1_000, 106_400)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dsp = 220", "dsps = 220", r"unknown key 'dsps'; did you mean 'dsp'\?"),
        ("dsp = 220", "", "missing dsp"),
        ("lut = 53_200", 'lut = "53200"', r"lut = '53200' \(str\), expected a whole number"),
        ("lut = 53_200", "lut = 53200.5", r"lut = 53200.5 \(float\), expected a whole number"),
        ("lut = 53_200", "lut = true", r"lut = True \(bool\), expected a whole number"),
        ("lut = 53_200", "lut = -1", "lut = -1"),
        ("clock_ns = 10.0", "clock_ns = 0", "clock_ns = 0 .*expected nanoseconds > 0"),
        ("clock_ns = 10.0", "clock_ns = inf", "clock_ns = inf"),
        ('flow = "vivado_hls"', 'flow = "Quartus"', "expected one of vivado_hls, vitis"),
        ('family = "zynq7000"', 'family = "zynq"', "family = 'zynq' .*expected one of zynq7000, zynqmp, alveo"),
        ('family = "zynq7000"', 'family = "zynqmp"', "not of family zynqmp, whose parts begin with xczu or xck"),
        ('part = "xc7z020clg400-1"', 'part = "xc7a100t"', "part 'xc7a100t' is not of family zynq7000"),
        ('flow = "vivado_hls"', 'flow = "vitis"\nplatform = "shell"', "only cards have a platform"),
        ("axi_bits = 64", "axi_bits = 48", "axi_bits = 48 .*expected one of 32, 64, 128, 256, 512"),
        ("axi_bits = 64", "axi_bits = 64.0", "axi_bits = 64.0 .float., expected one of"),
        ("axi_bits = 64", "", "missing axi_bits"),
        ('name = "pynq-z2"', 'name = ""', r"name = '' \(str\), expected a name"),
        ('name = "pynq-z2"', 'name = "../../etc"', "expected a name of letters"),
        ('source = "AMD', 'source = " "#', r"source = ' ' \(str\), expected text"),
        ('name = "pynq-z2"', "name =", "is not TOML"),
    ],
)
def test_a_wrong_board_file_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = changed_file(tmp_path, old, new)
    with pytest.raises(ConfigError, match=message) as caught:
        load_board(path)
    assert str(path) in str(caught.value)


def test_an_absent_board_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read board file .*none\.toml: No such file"):
        load_board(tmp_path / "none.toml")


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_board(path)


def test_a_design_that_fills_the_board_fits() -> None:
    board = load_board("pynq-z2")
    assert board.shortfalls(report(53_200, 106_400, 220, 280)) == []


def test_each_exceeded_resource_is_named_with_its_excess() -> None:
    lines = load_board("pynq-z2").shortfalls(report(53_201, 106_400, 240, 0))
    assert lines == [
        "LUT: 53,201 needed, pynq-z2 has 53,200 (1 too few)",
        "DSP: 240 needed, pynq-z2 has 220 (20 too few)",
    ]


def test_a_figure_that_is_not_given_is_not_judged() -> None:
    board = Board("tiny", "p", "zynqmp", 1, 1, 1, 1, 5.0, 64, "vitis", "s")
    assert board.shortfalls(report(None, None, None, None)) == []
    assert len(board.shortfalls(report(2, 2, 2, 2))) == 4


def test_a_card_needs_its_platform(tmp_path: Path) -> None:
    text = (asset("boards") / "u250.toml").read_text()
    path = tmp_path / "card.toml"
    path.write_text("\n".join(line for line in text.splitlines() if not line.startswith("platform")))
    with pytest.raises(ConfigError, match="platform is missing"):
        load_board(path)


def test_ultra_ram_counts_where_it_may_be_left_out(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Figures:
        lut, ff, dsp, bram_18k, uram = 1, 1, 1, 1, 3

    board = load_board(changed_file(tmp_path, "uram = 0", ""))
    assert board.uram == 0
    assert board.shortfalls(Figures()) == ["URAM: 3 needed, pynq-z2 has 0 (3 too few)"]


def test_assets_inside_the_package_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "codesign"
    package.mkdir()
    monkeypatch.setattr(assets, "_PACKAGE", package)
    with pytest.raises(ConfigError, match="lacks its folder 'models'"):
        asset("models")
    (tmp_path / "models").mkdir()
    assert asset("models") == tmp_path / "models"
    (package / "_assets" / "models").mkdir(parents=True)
    assert asset("models") == package / "_assets" / "models"


def test_other_asset_folders_are_refused() -> None:
    with pytest.raises(ConfigError, match="no asset folder 'docs'"):
        asset("docs")  # type: ignore[arg-type]
