"""Processes that evaluate designs: the same figures as here, deaths that are outcomes, and a search that goes on."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import studies
from test_resume import audited_store, evaluations, kill_after, result, written

import codesign.cli as cli
from codesign.campaign.store import Store
from codesign.errors import ConfigError
from codesign.search.attempt import DesignWorkers, attempt
from codesign.search.evaluate import Evaluator
from codesign.search.evaluation import Evaluation, Failure
from codesign.search.folder import RunFolder, identity
from codesign.study import Design, Study, load_study

DESIGNS = [Design(6, 6, 1.0, bits, bits) for bits in (0, 3, 6, 9)]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return load_study(studies.write_study(tmp_path))


@pytest.fixture
def workers(study: Study, tmp_path: Path) -> Iterator[DesignWorkers]:
    with Store(tmp_path / "run" / "study.sqlite", identity(study)):
        pass  # its owner
    with DesignWorkers(study, RunFolder(tmp_path / "run"), 2) as found:
        yield found


def test_they_find_what_this_process_finds(study: Study, workers: DesignWorkers, tmp_path: Path) -> None:
    for number, design in enumerate(DESIGNS):
        workers.submit(number, design)
    found: dict[int, Any] = {}
    while len(found) < len(DESIGNS):
        found.update(workers.wait())
    with Store(tmp_path / "own.sqlite", identity(study)) as store:
        evaluator = Evaluator(study, store)
        for number, design in enumerate(DESIGNS):
            own = attempt(evaluator, RunFolder(tmp_path / "own"), design)
            assert isinstance(own, Evaluation)
            assert studies.without_seconds(found[number].to_json()) == studies.without_seconds(own.to_json())
            assert RunFolder(tmp_path / "run").holds(own.network, own.plan)
    with Store(tmp_path / "run" / "study.sqlite") as store:
        assert len(store.campaigns()) == len(DESIGNS)


def test_a_worker_that_is_killed_is_a_failure_and_is_replaced(workers: DesignWorkers) -> None:
    workers.submit(0, DESIGNS[0])
    [worker] = workers._busy
    os.kill(worker._process.pid, signal.SIGKILL)
    assert workers.wait() == [(0, Failure(DESIGNS[0], "its worker process was ended by SIGKILL"))]
    workers.submit(1, DESIGNS[1])
    [(number, outcome)] = workers.wait()
    assert number == 1 and isinstance(outcome, Evaluation)


def test_workers_end_with_their_pipe(workers: DesignWorkers) -> None:
    workers.submit(0, DESIGNS[0])
    [worker] = workers._busy
    worker.pipe.close()
    studies.until(lambda: studies.ended(worker._process.pid))


def test_an_error_that_is_no_designs_fault_ends_the_search(workers: DesignWorkers, tmp_path: Path) -> None:
    (tmp_path / "run" / "study.sqlite").write_bytes(b"this is no store, and that is nobody's design")
    workers.submit(0, DESIGNS[0])
    with pytest.raises(Exception, match="study.sqlite"):
        workers.wait()


@pytest.mark.cxx
@pytest.mark.slow
def test_killed_with_workers(tmp_path: Path) -> None:
    """kill -9 in the middle, again and again: the same designs as undisturbed, none evaluated twice."""
    study = studies.write_study(tmp_path)
    assert studies.codesign("optimize", study, "--workers", "2", "--out", tmp_path / "whole").returncode == 0
    run = tmp_path / "run"
    store = audited_store(run, study)
    for lines, seconds in ((2, 0.0), (2, 0.1), (3, 0.05)):
        process = studies.start("optimize", study, "--workers", "2", "--out", run)
        kill_after(process, lines, seconds)
        assert process.returncode == -signal.SIGKILL
    assert 0 < len(evaluations(run)) < studies.EVALUATIONS
    assert studies.codesign("optimize", study, "--workers", "2", "--out", run).returncode == 0
    assert studies.without_seconds(result(run)) == studies.without_seconds(result(tmp_path / "whole"))
    kept = [what for what in written(store) if what.startswith("evaluation")]
    assert len(kept) == len(set(kept)) == studies.EVALUATIONS
    assert result(run)["best"]["feasible"]


# ---------------------------------------------------------------- designs that fail


@pytest.fixture
def narrow_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A builder that cannot build networks of four bits."""
    import codesign.search.evaluate as module

    train = module.train

    def failing(study: Study, weight_bits: int, *rest: Any, **others: Any) -> Any:
        if weight_bits == 4:
            raise ConfigError("tiny.py: build_model: no four bits")
        return train(study, weight_bits, *rest, **others)

    monkeypatch.setattr(module, "train", failing)


@pytest.mark.cxx
@pytest.mark.usefixtures("narrow_fails")
def test_a_failure_is_recorded_and_the_search_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, run = studies.write_study(tmp_path), tmp_path / "run"
    arguments = ["optimize", str(study), "--out", str(run), "--evaluations", "7"]
    assert cli.run(arguments) == 0
    shown = capsys.readouterr()
    found = result(run)
    failed = found["failed"]
    assert failed and {entry["reason"] for entry in failed} == {"tiny.py: build_model: no four bits"}
    assert f"design {failed[0]['id']:3d}  failed: tiny.py: build_model: no four bits" in shown.err
    assert " could not be evaluated: tiny.py: build_model: no four bits" in shown.out
    assert sorted(entry["id"] for entry in [*failed, *found["evaluations"]]) == list(range(7))
    assert found["best"]["design"]["weight_bits"] == 6
    assert cli.run(arguments) == 0  # also from the store
    assert studies.without_seconds(result(run)) == studies.without_seconds(found)
    capsys.readouterr()


@pytest.mark.usefixtures("narrow_fails")
def test_failures_alone_leave_a_folder_that_belongs_to_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, run = studies.write_study(tmp_path, ("weight_bits = [4, 6]", "weight_bits = 4")), tmp_path / "run"
    assert cli.run(["--quiet", "optimize", str(study), "--out", str(run)]) == cli.BAD_INPUT
    line = studies.refusal(capsys.readouterr().err)
    assert line == "tiny.py: build_model: no four bits (designs 0..2 all failed alike)"
    assert cli.run(["--quiet", "optimize", str(study), "--out", str(run), "--evaluations", "2"]) == cli.BAD_INPUT
    line = studies.refusal(capsys.readouterr().err)
    assert line == "none of 2 designs could be evaluated: tiny.py: build_model: no four bits"
    with Store(run / "study.sqlite", {"another": "study"}):
        pass


def test_workers_and_a_cluster_are_two_things(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = studies.write_study(tmp_path)
    assert cli.run(["optimize", str(study), "--workers", "2", "--dask", "tcp://h:1"]) == cli.BAD_INPUT
    assert "choose one" in studies.refusal(capsys.readouterr().err)
