"""Figures of modules in csynth reports: those of the real ones, and of damaged ones."""

from pathlib import Path

import pytest

from codesign.errors import ReportError
from codesign.resources.modules import ModuleFigures, read_modules

DATA = Path(__file__).parent / "data" / "reports"
VITIS = DATA / "vitis-2024.1-xcu250-conv1d"
FULL_XML = VITIS / "csynth.xml"
VITIS_RPT = VITIS / "myproject_csynth.rpt"
VIVADO_RPT = DATA / "vivado-2020.1-xczu9eg-dnd" / "myproject_csynth.rpt"
RPT = VIVADO_RPT.read_text()

# Read by eye from the files: LUT, FF, DSP, BRAM_18K, latency, interval.
CONV1D = [
    ("zeropad1d_cl_array_array_ap_fixed_16_6_5_3_0_9u_config8_Pipeline_CopyMain", 75, 9, 0, 0, 129, 128),
    ("zeropad1d_cl_array_ap_fixed_9u_array_ap_fixed_16_6_5_3_0_9u_config8_s", 157, 16, 0, 0, 132, 132),
    ("dense_latency_ap_fixed_16_6_5_3_0_ap_fixed_16_6_5_3_0_config2_mult_s", 11420, 2287, 370, 0, 1, 1),
    ("compute_output_buffer_1d_array_array_ap_fixed_16_6_5_3_0_16u_config2_s", 11723, 3078, 370, 0, 3, 3),
    ("conv_1d_cl_array_ap_fixed_9u_array_ap_fixed_16_6_5_3_0_16u_config2_s", 11875, 3097, 370, 0, 393, 390),
    ("relu_array_ap_fixed_16u_array_ap_fixed_16_6_5_3_0_16u_relu_config4_s", 692, 10, 0, 0, 129, 128),
    ("global_pooling1d_cl_array_array_ap_fixed_16u_config5_Pipeline_ReadInput", 836, 266, 0, 0, 129, 128),
    ("global_pooling1d_cl_array_array_ap_fixed_16_6_5_3_0_16u_config5_s", 894, 528, 0, 0, 131, 131),
    ("dense_latency_wrapper_ap_fixed_ap_fixed_16_6_5_3_0_config6_s", 2447, 557, 91, 0, 1, 1),
    ("dense_array_ap_fixed_16u_array_ap_fixed_16_6_5_3_0_6u_config6_s", 2505, 819, 91, 0, 2, 2),
    ("softmax_stable_array_array_ap_fixed_16_6_5_3_0_6u_softmax_config7_s", 530, 257, 6, 5, 6, 6),
    ("softmax_array_array_ap_fixed_16_6_5_3_0_6u_softmax_config7_s", 572, 262, 6, 5, 8, 8),
]
DND = [
    ("dense_latency_0_0_0_0_0_0_0_0_0_0_0_0_0_0_0_0_0_0_0_0_0", 58323, 2815, 0, 0, 1, 1),
    ("dense_latency_ap_ufixed_ap_fixed_config5_0_0", 682, 43, 0, 0, 1, 1),
    ("relu_ap_fixed_ap_ufixed_6_0_5_3_0_relu_config4_s", 361, 0, 0, 0, 0, 1),
    ("sigmoid_ap_fixed_ap_fixed_16_6_5_3_0_sigmoid_config7_s", 153, 13, 0, 1, 2, 1),
]


def figures(modules: list[ModuleFigures]) -> list[tuple[object, ...]]:
    return [(m.module, m.lut, m.ff, m.dsp, m.bram_18k, m.latency_cycles, m.ii) for m in modules]


def test_modules_of_real_reports() -> None:
    assert figures(read_modules(FULL_XML)) == CONV1D
    assert figures(read_modules(VIVADO_RPT, "myproject")) == DND
    inside_top = [row for row in CONV1D if row[0] in {m.module for m in read_modules(VITIS_RPT)}]
    assert len(inside_top) == 6
    assert sorted(figures(read_modules(VITIS_RPT))) == sorted(inside_top)
    assert read_modules(VIVADO_RPT)[0].instance == DND[0][0].join(["grp_", "_fu_77"])
    assert read_modules(VITIS / "myproject_csynth.xml") == []


def test_a_module_whose_interval_varies_has_the_worst(tmp_path: Path) -> None:
    text = FULL_XML.read_text().replace("<PipelineInitiationInterval>132<", "<PipelineInitiationInterval>2 ~ 132<", 1)
    path = tmp_path / "csynth.xml"
    path.write_text(text)
    assert figures(read_modules(path)) == CONV1D


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("|        0|      0|  2815|  58323|    0|", "|        0|      0|  2815|  58324|    0|", "LUT add up to 59520"),
        (
            "Instance         |        1|      0|    2871|",
            "Instance         |        1|      0|    2872|",
            "FF is 4561",
        ),
        ("    * Instance: \n        +--", "    * Instances: \n        +--", "an area and no latency"),
    ],
)
def test_a_table_that_does_not_add_up_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in RPT
    path = tmp_path / "report.rpt"
    path.write_text(RPT.replace(old, new))
    with pytest.raises(ReportError, match=message):
        read_modules(path)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("modules") / "report"


def outcome(path: Path, text: str) -> list[tuple[object, ...]] | None:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        return figures(read_modules(path))
    except ReportError:
        return None
