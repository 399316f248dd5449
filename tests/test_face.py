"""What `codesign` itself offers: the same names for people and type checkers, and nothing loaded before its use."""

import ast
import re
import subprocess
import sys
import xml.etree.ElementTree
from html.parser import HTMLParser
from pathlib import Path

import defusedxml.ElementTree
import numpy as np
import pytest
import studies
from networks import small_inputs, small_network

import codesign
from codesign.notebook import html_table
from codesign.notebook.figures import bands, heat_maps, intervals, scatter, stacked
from codesign.search.optimise import Result

SOURCE = Path(codesign.__file__)


def typed() -> dict[str, str]:
    """Names that type checkers see, with their homes."""
    tree = ast.parse(SOURCE.read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module != "importlib"]
    return {alias.name: node.module or "" for node in imports for alias in node.names if node.module != "typing"}


def test_type_checkers_see_what_there_is() -> None:
    assert typed() == codesign._HOME_OF


@pytest.mark.parametrize("name", sorted(codesign._HOME_OF))
def test_every_name_is_there_and_documented(name: str) -> None:
    found = getattr(codesign, name)
    assert found.__doc__ and name in dir(codesign)


def test_a_module_of_the_same_name_does_not_hide_a_function() -> None:
    """Importing a module sets it as an attribute of its package."""
    script = (
        "import codesign.resources.estimate, codesign.search.optimise\n"
        "import codesign\n"
        "assert callable(codesign.estimate) and callable(codesign.optimise)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = codesign.nothing


def test_importing_the_package_imports_nothing_else() -> None:
    script = "import sys, codesign; print([m for m in sys.modules if m.startswith(('codesign.', 'numpy'))])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- tables in notebooks


class _Page(HTMLParser):
    """Texts of a page, and whether every tag is closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_tables_of_the_public_types() -> None:
    network, plan = small_network(), codesign.ProtectionPlan.full(small_network())
    raw = small_inputs(20)
    faults = codesign.FaultModel(targets=("accumulator",), ber=1e-3, seed=1)
    labels = codesign.forward(network, raw)[-1].argmax(axis=1)
    found = codesign.run_campaign(network, plan, faults, raw, labels, trials=5, requirements=["accuracy>=0.5"])
    estimated = codesign.estimate(network, plan)
    layers = {layer.name for layer in network.layers}
    assert layers <= set(_Page(network._repr_html_()).texts)
    assert layers <= set(_Page(estimated._repr_html_()).texts)
    assert f"{estimated.report.lut:,}" in _Page(estimated.report._repr_html_()).texts
    assert "tmr" in _Page(plan._repr_html_()).texts
    assert f"{found.accuracy.mean:.4f}" in _Page(found._repr_html_()).texts


def figures_of(page: str) -> list[xml.etree.ElementTree.Element]:
    """The figures of a representation; each has to be sound XML, with a name, and nothing that acts."""
    found = [defusedxml.ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    for svg in found:
        assert svg.get("role") == "img" and svg.get("aria-label")
        assert not {element.tag.rpartition("}")[2] for element in svg.iter()} & {"script", "style", "metadata"}
    return found


def texts_of(svg: xml.etree.ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()) for element in svg.iter() if element.tag.endswith("}text"))


def test_figures_of_the_public_types() -> None:
    network = small_network()
    plan, raw = codesign.ProtectionPlan.full(network), small_inputs(20)
    labels = codesign.forward(network, raw)[-1].argmax(axis=1)
    faults = codesign.FaultModel(targets=("accumulator",), ber=1e-3, seed=1)
    found = codesign.run_campaign(network, plan, faults, raw, labels, trials=5, requirements=["accuracy>=0.5"])
    [intervals] = figures_of(found._repr_html_())
    assert "accuracy" in texts_of(intervals) and "orange: required" in texts_of(intervals)
    names = [layer.name for _, layer in network.compute_layers()]
    for shown in (plan, codesign.estimate(network, plan)):
        [svg] = figures_of(shown._repr_html_())
        assert all(name in texts_of(svg) for name in names)
    assert figures_of(codesign.ProtectionPlan()._repr_html_()) == []
    curve = codesign.measure_curve("all", network, plan, faults, raw, labels, [0.0, 1e-4, 1e-3], trials=5)
    [bands] = figures_of(curve._repr_html_())
    assert "0.0001" in texts_of(bands) and "$" not in texts_of(bands)
    analysis = codesign.analyse(network, (raw, labels), raw, "taylor", draws=1)
    page = analysis._repr_html_()
    [maps] = figures_of(page)
    assert all(name in texts_of(maps) for name in names) and page.count("<tr>") == 1 + len(names)
    assert figures_of(codesign.load_board("pynq-z2")._repr_html_()) == []
    assert analysis._repr_html_() == page


def test_a_name_in_a_figure_is_text() -> None:
    name = "<script>alert('$x$')</script> & \""
    for svg in (
        *figures_of(stacked(name, {name: {name: 1.0}}, name)),
        *figures_of(intervals(name, {name: (0.5, 0.4, 0.6)}, {name: [0.7]})),
        *figures_of(bands(name, [1e-3], {name: [(0.5, 0.4, 0.6)]}, name)),
        *figures_of(heat_maps(name, {name: np.zeros((2, 3))}, name, name, name, 0.0)),
        *figures_of(scatter(name, {name: [(1.0, 2.0)]}, name, name)),
    ):
        assert svg.get("aria-label") == name and name in texts_of(svg)


def test_a_figure_does_not_depend_on_the_users_settings() -> None:
    import matplotlib as mpl

    def draw() -> str:
        return stacked("cost", {"a": {"x": 1.0, "y": 2.0}}, "LUT")

    usual = draw()
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "text.usetex": False}):
        assert draw() == usual


def test_figures_of_one_page_do_not_share_clip_paths() -> None:
    pages = [stacked(alt, {"a": {"x": 1.0}}, "LUT") for alt in ("one", "other")]
    ids = [set(re.findall(r'<clipPath id="([^"]+)"', page)) for page in pages]
    assert all(ids) and not ids[0] & ids[1]


@pytest.mark.cxx
def test_a_finished_search_shows_itself(finished_run: Path) -> None:
    result = codesign.RunFolder(finished_run).result()
    page = Result(result, feasible=True)._repr_html_()
    [svg] = figures_of(page)
    assert "full_tmr" in texts_of(svg) and f"{result['best']['resources']['lut']:,}" in _Page(page).texts


def test_a_whole_study_from_the_face(tmp_path: Path) -> None:
    """Load, train (from the cache), analyse, protect, attack, measure, estimate, export: without another import."""
    study = codesign.load_study(studies.write_study(tmp_path))
    data = codesign.study_data(study)
    trained = codesign.train_network(study)
    network = trained.network
    assert network == studies.tiny_network("tiny", 6) and trained.cached
    assert codesign.train_network(study, 4).network == studies.tiny_network("tiny", 4)
    assert "180" in data._repr_html_() and "cache" in trained._repr_html_()
    scores = codesign.neuron_scores(network, network.quantise_inputs(data.train_inputs), data.train_labels, "taylor")
    plan = codesign.selective_plan(network, scores, 0.5, 8, 2)
    faults = codesign.study_faults(study, ber=1e-4)
    assert faults.ber == 1e-4 and codesign.study_faults(study, n_flips=2).ber is None
    with pytest.raises(codesign.ConfigError, match="has no rate"):
        codesign.study_faults(study, rate=1)
    found = codesign.run_campaign(network, plan, faults, data.test_inputs, data.test_labels, trials=10)
    assert found.trials == 10 and codesign.estimate(network, plan).report.lut
    board = codesign.load_board(study.hardware.board)
    project = codesign.write_board_project(network, plan, tmp_path / "project", board)
    assert project.folder.is_dir() and board.name in codesign.board_names()


def test_the_steps_in_the_docs_run(tmp_path: Path) -> None:
    """On a study whose networks are in the cache, so that nothing has to be trained."""
    text = (SOURCE.parent.parent / "docs/python.md").read_text()
    [block] = [found for found in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "study_data" in found]
    studies.write_study(tmp_path / "models").rename(tmp_path / "models/digits_mlp.toml")
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "project/build.sh").is_file()


def test_names_are_shown_as_text() -> None:
    page = _Page(html_table("<b>", ["&"], [["<script>alert(1)</script>"], [None], [0.5]]))
    assert page.texts == ["<b>", "&", "<script>alert(1)</script>", "-", "0.5"]
