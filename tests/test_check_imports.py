"""The import order is checked by scripts/check_imports.py; here the check itself."""

from pathlib import Path

import check_imports
import pytest

REPOSITORY = Path(__file__).parent.parent


def violations(folder: Path, module: str, source: str) -> list[str]:
    """Check a package that holds one module; return what is said after its path."""
    path = folder / check_imports.PACKAGE / module
    path.parent.mkdir(parents=True)
    path.write_text(source)
    found = check_imports.check_package(folder / check_imports.PACKAGE)
    assert all(line.startswith(f"{path}:") for line in found)
    return [line.removeprefix(f"{path}:") for line in found]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("network.py", "from codesign.fixed import FixedPoint"),
        ("network.py", "import codesign.errors, codesign.fixed as fixed"),
        ("hls/project.py", "from codesign.hls.csim import Csim"),
        ("cli.py", "from codesign import __version__, report"),
        ("__init__.py", "from codesign.cli import main"),
        ("__main__.py", "from codesign.cli import main"),
        ("train/quantisers.py", "import tensorflow as tf\nfrom qkeras import QDense"),
        ("fixed.py", "import numpy as np\nfrom codesign_plugins import cli"),
    ],
)
def test_allowed(tmp_path: Path, module: str, source: str) -> None:
    assert violations(tmp_path, module, source) == []


@pytest.mark.parametrize(
    "statement",
    [
        "from codesign.search import space",
        "from codesign.search.space import Space",
        "from codesign import search",
        "import codesign.search",
        "import codesign.search.space as space",
        "import_module('codesign.search')",
        "importlib.import_module('codesign.search.space')",
    ],
)
@pytest.mark.parametrize("place", ["{}", "def lazy():\n    {}", "if TYPE_CHECKING:\n    {}", "async def f():\n  {}"])
def test_import_of_a_later_module(tmp_path: Path, statement: str, place: str) -> None:
    line = 1 + place.count("\n")
    assert violations(tmp_path, "fixed.py", place.format(statement)) == [
        f"{line}: fixed imports search, which stands below it in the import order"
    ]


@pytest.mark.parametrize("statement", ["from . import fixed", "from .fixed import wrap", "from ..fixed import wrap"])
def test_relative_import(tmp_path: Path, statement: str) -> None:
    assert violations(tmp_path, "hls/csim.py", statement) == ["1: relative import; write the full name"]


@pytest.mark.parametrize("module", ["search/space.py", "cli.py", "__init__.py"])
@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("import tensorflow as tf", "tensorflow"),
        ("from tensorflow.keras import layers", "tensorflow"),
        ("from qkeras import QDense", "qkeras"),
        ("import keras", "keras"),
    ],
)
def test_tensorflow_outside_train(tmp_path: Path, module: str, statement: str, name: str) -> None:
    assert violations(tmp_path, module, f"def lazy():\n    {statement}") == [
        f"2: {name} may be imported in codesign/train only"
    ]


def test_the_face_of_the_package_is_not_imported(tmp_path: Path) -> None:
    assert violations(tmp_path, "engine/run.py", "import codesign\nfrom codesign import run_campaign") == [
        "1: codesign is not a module in the import order; import from the module that defines it",
        "2: codesign.run_campaign is not a module in the import order; import from the module that defines it",
    ]


def test_module_outside_the_order(tmp_path: Path) -> None:
    assert violations(tmp_path, "helpers.py", "") == [
        "1: helpers is not in the import order; add it to ORDER in scripts/check_imports.py"
    ]


def test_each_violation_is_printed_once_in_order_of_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = "from codesign.cli import a, b, c\nimport keras\n"
    assert len(violations(tmp_path, "errors.py", source)) == 2
    assert check_imports.main([str(tmp_path / check_imports.PACKAGE)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert "errors.py:1: errors imports cli" in first
    assert "errors.py:2: keras may be" in second


def test_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_imports.main([str(tmp_path / "none")]) == 2
    assert "none is not a folder" in capsys.readouterr().err


def test_this_package_keeps_the_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_imports.main([str(REPOSITORY / check_imports.PACKAGE)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "statement", ["from .errors import InputError", "import numpy as np", "import pynq", "import json"]
)
def test_what_runs_on_boards_imports_itself_and_what_boards_have(tmp_path: Path, statement: str) -> None:
    assert violations(tmp_path, "board/runtime/dma.py", statement) == []


@pytest.mark.parametrize(
    "statement", ["from codesign.errors import ConfigError", "import scipy", "from ..package import open_package"]
)
def test_what_runs_on_boards_imports_nothing_else(tmp_path: Path, statement: str) -> None:
    assert [
        "board/runtime runs on a board" in line for line in violations(tmp_path, "board/runtime/dma.py", statement)
    ] == [True]
