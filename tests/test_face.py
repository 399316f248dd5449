"""What `codesign` itself offers: the same names for people and type checkers, and nothing loaded before its use."""

import ast
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from networks import small_inputs, small_network

import codesign
from codesign.notebook import html_table

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


def test_names_are_shown_as_text() -> None:
    page = _Page(html_table("<b>", ["&"], [["<script>alert(1)</script>"], [None], [0.5]]))
    assert page.texts == ["<b>", "&", "<script>alert(1)</script>", "-", "0.5"]
