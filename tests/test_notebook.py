"""The example notebook runs from its first cell to its last, on the real study, and shows what it promises."""

import ast
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from pages import ROOT

NOTEBOOK = ROOT / "docs" / "notebooks" / "first_hour.ipynb"
Cell = dict[str, Any]


def cells(kind: str) -> list[Cell]:
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == kind]


def run_cell(cell: Cell, names: dict[str, Any]) -> Any:
    """What a cell ends with, as Jupyter would show it; None where it ends with a statement."""
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, cell["id"], "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), cell["id"], "eval"), names)


def test_it_is_stored_without_outputs() -> None:
    assert len(cells("code")) >= 8 and len(cells("markdown")) >= 5
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells("code"))


@pytest.mark.tf
def test_its_cells_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figures: list[object] = []

    def show() -> None:
        figures.append(plt.gcf())
        plt.close()

    monkeypatch.setattr(plt, "show", show)
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.chdir(tmp_path):
        shown = [value for cell in cells("code") if (value := run_cell(cell, names)) is not None]
    *shown, files = shown
    assert [type(value).__name__ for value in shown] == ["Network", "CampaignResult", "ProtectionPlan", "Estimate"]
    assert all("<table>" in value._repr_html_() for value in shown)
    assert {"build_prj.tcl", "build_csim.sh", "firmware", "tb_data"} <= {*files}
    assert len(figures) == 2
    # The point of it: the selective design meets what the unprotected one misses, at a fraction of full TMR's cost.
    found, wanted = names["found"], names["study"].requirements.accuracy_faulty
    assert found["unprotected"].accuracy.high < wanted <= found["selective"].accuracy.low
    assert 0 < names["share"] < 0.2
