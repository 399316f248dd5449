"""What all tests share: order, hypothesis profiles and a cache folder of their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Cheapest first: a plain mistake shows before anything is compiled or trained.
COSTS = ("cxx", "tf", "slow")

hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
# da4ml's graphs are small here, and numba takes minutes to compile their search.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden-update", action="store_true", help="write the golden files of generated code again")


def _cost(item: pytest.Item) -> int:
    return max((rank for rank, name in enumerate(COSTS, start=1) if item.get_closest_marker(name)), default=0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_cost)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep trained networks and compiled simulators of tests away from the user's, unless CODESIGN_CACHE is set."""
    with pytest.MonkeyPatch.context() as patch:
        if "CODESIGN_CACHE" not in os.environ:
            patch.setenv("CODESIGN_CACHE", str(_shared(tmp_path_factory) / "cache"))
        yield


def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a run of the tests see: each has a folder of its own inside it."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def finished_run(_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of an undisturbed search of `studies.py`'s study, which lies beside it. Copy it to change it."""
    import studies

    folder = tmp_path_factory.mktemp("finished")
    done = studies.codesign("optimize", studies.write_study(folder), "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"
