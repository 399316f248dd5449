"""A search that is killed or interrupted goes on as if nothing had happened."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import studies

import codesign.cli as cli
from codesign.campaign.key import CampaignKey
from codesign.campaign.store import Store
from codesign.search.evaluate import Evaluator
from codesign.search.evaluation import Evaluation
from codesign.search.folder import identity
from codesign.study import Design, load_study

KILLS = 8
# Nothing here takes a minute; a test that hangs is to fail.
PATIENCE = 120.0

_AUDIT = """
create table audit (what text not null);
create trigger audit_evaluation after insert on evaluation
    begin insert into audit values ('evaluation ' || new.kind || ' ' || new.number); end;
create trigger audit_batch after insert on batch
    begin insert into audit values ('batch ' || new.campaign || ' ' || new.first); end;
"""


def audited_store(run: Path, study: Path) -> Path:
    """An empty store that writes down every row it is given, also one that replaces another."""
    path = run / "study.sqlite"
    Store(path, identity(load_study(study))).close()
    db = sqlite3.connect(path)
    db.executescript(_AUDIT)
    db.close()
    return path


def written(store: Path) -> list[str]:
    db = sqlite3.connect(store)
    try:
        return [what for (what,) in db.execute("select what from audit")]
    finally:
        db.close()


def evaluations(run: Path) -> list[dict[str, Any]]:
    with Store(run / "study.sqlite") as store:
        return store.evaluations("design")


def trials_kept(run: Path) -> dict[str, int]:
    """How many trials each campaign has, in batches that follow each other without a gap or an overlap."""
    db = sqlite3.connect(run / "study.sqlite")
    found: dict[str, int] = {}
    try:
        query = "select digest, first, count from batch join campaign on number = campaign order by digest, first"
        for campaign, first, count in db.execute(query):
            assert found.get(campaign, 0) == first
            found[campaign] = first + count
        return found
    finally:
        db.close()


def result(run: Path) -> dict[str, Any]:
    found = json.loads((run / "result.json").read_text())
    assert isinstance(found, dict)
    return found


def kill_after(process: subprocess.Popen[str], lines: int, seconds: float) -> list[str]:
    """Read so many lines of progress, let it run a little on, and kill it. All that it said."""
    assert process.stderr is not None
    said = [line for _, line in zip(range(lines), process.stderr, strict=False)]
    try:
        process.wait(timeout=seconds)  # the drawn moment, unless it is done before
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    said += process.stderr.readlines()
    process.stderr.close()
    process.wait(timeout=PATIENCE)
    return said


def moments(generator: random.Random) -> Iterator[tuple[bool, int, float]]:
    """When to kill: whether only after all evaluations, or after how many more, and how much later."""
    for _ in range(KILLS):
        yield False, 0, generator.uniform(0.0, 1.0)  # loading, opening the store, and somewhat on
        yield False, 1, generator.uniform(0.0, 0.2)
    for _ in range(3):
        yield True, 0, generator.uniform(0.0, 1.5)  # writing the project, compiling it


@pytest.mark.cxx
@pytest.mark.slow
def test_killed_at_random_moments(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9, again and again: nothing is done twice, nothing is lost, and the result is the same."""
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "cache"))  # one in which nothing is compiled yet
    study, run = studies.write_study(tmp_path), tmp_path / "run"
    store = audited_store(run, study)
    kills, kept = 0, 0
    for finish, lines, seconds in moments(random.Random(2)):
        process = studies.start("optimize", study, "--out", run)
        announced = int(kept > 0)
        said = kill_after(process, announced + (studies.EVALUATIONS - kept + 1 if finish else lines), seconds)
        assert process.returncode in (0, -signal.SIGKILL), said
        kills += process.returncode == -signal.SIGKILL
        if kept and said:  # a killed process may not have come so far as to say it
            assert said[0].startswith(f"continuing after {kept} of {studies.EVALUATIONS} evaluations"), said
        rows = evaluations(run)  # the store opens
        assert kept <= len(rows) <= studies.EVALUATIONS
        kept = len(rows)
    assert kills >= KILLS
    assert studies.codesign("optimize", study, "--out", run).returncode == 0
    assert studies.without_seconds(result(run)) == studies.without_seconds(result(finished_run))
    audit = written(store)
    assert len(set(audit)) == len(audit)  # nothing was done twice
    numbers = [int(what.split()[-1]) for what in audit if what.startswith("evaluation")]
    assert numbers == list(range(studies.EVALUATIONS))  # nothing was lost
    assert trials_kept(run) == trials_kept(finished_run)


@pytest.mark.cxx
def test_killed_once(finished_run: Path, tmp_path: Path) -> None:
    study, run = finished_run.parent / "tiny.toml", tmp_path / "run"
    store = audited_store(run, study)
    process = studies.start("optimize", study, "--out", run)
    kill_after(process, 4, 0.1)
    assert process.returncode == -signal.SIGKILL
    kept = evaluations(run)
    assert 4 <= len(kept) < studies.EVALUATIONS
    done = studies.codesign("optimize", study, "--out", run, "--json")
    assert done.returncode == 0
    assert done.stderr.startswith(f"continuing after {len(kept)} of {studies.EVALUATIONS} evaluations")
    assert studies.without_seconds(json.loads(done.stdout)) == studies.without_seconds(result(finished_run))
    assert evaluations(run)[: len(kept)] == kept  # even their times
    audit = written(store)
    assert len(set(audit)) == len(audit)


@pytest.mark.parametrize("lines", [1, 4])
def test_interrupted(lines: int, tmp_path: Path) -> None:
    """Ctrl-C reaches the whole process group, as a terminal sends it."""
    run = tmp_path / "run"
    process = studies.start("optimize", studies.write_study(tmp_path), "--out", run)
    assert process.stderr is not None
    said = [line for _, line in zip(range(lines), process.stderr, strict=False)]
    os.killpg(process.pid, signal.SIGINT)
    said += process.stderr.readlines()
    process.stderr.close()
    assert process.wait(timeout=PATIENCE) == cli.INTERRUPTED
    assert "Traceback" not in "".join(said)
    assert said[-1].startswith("codesign: interrupted; everything that was finished is kept: evaluations in the")
    assert sum(line.startswith("codesign:") for line in said) == 1
    assert len(evaluations(run)) >= lines
    assert not (run / "result.json").exists()


def test_interrupted_campaign_keeps_its_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = studies.write_study(tmp_path)
    store = audited_store(tmp_path / "run", study)
    arguments = ["campaign", str(study), "--out", str(tmp_path / "run"), "--trials", "100", "--verify", "0", "--json"]
    add = Store.add_batch

    def add_and_stop(self: Store, campaign: CampaignKey, first: int, *counts: Any) -> None:
        add(self, campaign, first, *counts)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "add_batch", add_and_stop)
        assert cli.run(arguments) == cli.INTERRUPTED
    assert studies.refusal(capsys.readouterr().err).startswith("interrupted")
    assert len(written(store)) == 1
    assert list(trials_kept(tmp_path / "run").values()) == [8]
    assert cli.run(arguments) == 0
    resumed = json.loads(capsys.readouterr().out)
    audit = written(store)
    assert len(audit) == len(set(audit)) > 1  # the first batch was not run again
    assert list(trials_kept(tmp_path / "run").values()) == [100]
    assert cli.run([*arguments, "--out", str(tmp_path / "other")]) == 0
    assert json.loads(capsys.readouterr().out) == resumed


def test_interrupted_in_the_middle_of_a_batch(tmp_path: Path) -> None:
    """Ctrl-C in a process of its own, while the engine computes: what it had finished is there."""
    study, run = studies.write_study(tmp_path), tmp_path / "run"
    process = studies.start("campaign", study, "--out", run, "--trials", "100000000", "--verify", "0")
    assert process.stderr is not None
    store = run / "study.sqlite"
    for _ in range(int(PATIENCE / 0.05)):  # until some batches are done and a long one is on its way
        time.sleep(0.05)
        with suppress(sqlite3.OperationalError):  # its tables are not there yet
            if store.exists() and sum(trials_kept(run).values()) > 1000:
                break
    os.killpg(process.pid, signal.SIGINT)
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=PATIENCE) == cli.INTERRUPTED
    assert studies.refusal(said).startswith("interrupted; everything that was finished is kept: trials in the run")
    [kept] = trials_kept(run).values()
    assert 1000 < kept < 100_000_000


@pytest.mark.cxx
def test_same_seed_same_result(finished_run: Path, tmp_path: Path) -> None:
    """Another copy of the study, another folder, another process."""
    study = studies.write_study(tmp_path / "elsewhere")
    done = studies.codesign("optimize", study, "--out", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == 0
    assert studies.without_seconds(result(tmp_path / "run")) == studies.without_seconds(result(finished_run))


@pytest.mark.cxx
def test_another_seed_another_search(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = studies.write_study(tmp_path, ("seed = 5", "seed = 6"))
    assert cli.run(["--quiet", "optimize", str(study), "--evaluations", "2", "--out", str(tmp_path / "run")]) == 0
    first, other = result(finished_run)["evaluations"], result(tmp_path / "run")["evaluations"]
    assert first[0]["network"] == other[0]["network"]  # the hand-made networks do not follow the seed
    assert first[0]["accuracy_faulty"] != other[0]["accuracy_faulty"]


@pytest.mark.cxx
def test_a_larger_budget_continues(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seven evaluations, then the study's twelve: the same twelve as at once. Fewer again: the first of them."""
    study, run = finished_run.parent / "tiny.toml", tmp_path / "run"
    arguments = ["optimize", str(study), "--out", str(run)]
    assert cli.run([*arguments, "--evaluations", "7"]) == 0
    seven = result(run)
    assert len(seven["evaluations"]) == 7
    assert cli.run(arguments) == 0
    twelve = result(run)
    assert twelve["evaluations"][:7] == seven["evaluations"]
    assert studies.without_seconds(twelve) == studies.without_seconds(result(finished_run))
    assert twelve["seconds"] > seven["seconds"]  # of all sessions
    assert cli.run([*arguments, "--evaluations", "7"]) == 0
    assert studies.without_seconds(result(run)) == studies.without_seconds(seven)
    assert len(evaluations(run)) == studies.EVALUATIONS
    capsys.readouterr()


def test_what_is_read_back_is_what_was_found(tmp_path: Path) -> None:
    """Also the order of the constraints: sums over them and lists of them must not depend on a restart."""
    study = load_study(studies.write_study(tmp_path))
    with Store(tmp_path / "study.sqlite", identity(study)) as store:
        evaluator = Evaluator(study, store)
        for bits in (0, 7):
            found = evaluator.evaluate(Design(6, 6, 0.5, bits, 0))
            store.add_evaluation("design", bits, found.to_json())
            again = Evaluation.from_json(store.evaluations("design")[-1])
            assert again == found and list(again.margins) == list(found.margins)
            assert set(found.margins) == {"accuracy_clean", "accuracy_faulty", "capacity", "latency_cycles"}


def test_a_budget_chooses_bits_and_is_kept(tmp_path: Path) -> None:
    study = load_study(studies.write_study(tmp_path))
    with Store(tmp_path / "study.sqlite", identity(study)) as store:
        evaluator = Evaluator(study, store)
        unprotected, full = (evaluator.evaluate(Design(6, 6, 1.0, bits, bits)) for bits in (0, 48))
        last, accuracy = 0.0, unprotected.accuracy_faulty.mean
        for share in (0.1, 0.3, 0.6):
            found = evaluator.evaluate(Design(6, 6, 1.0, 0, 0, protection_budget=share))
            spent = (found.cost - unprotected.cost) / (full.cost - unprotected.cost)
            assert last <= spent <= share and accuracy <= found.accuracy_faulty.mean
            last, accuracy = spent, found.accuracy_faulty.mean
        assert last > 0.2 and accuracy > unprotected.accuracy_faulty.mean
        by_layer = Design(6, 6, 1.0, 0, 0, protection_budget=0.3, importance_scope="layer", importance_score="flip")
        assert evaluator.signature(by_layer) != evaluator.signature(replace(by_layer, importance_scope="network"))


@pytest.mark.cxx
def test_broken_constraints_are_listed_alike_after_a_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = (tmp_path / "small.toml").absolute()
    small.write_text((Path(cli.__file__).parents[1] / "boards" / "zcu102.toml").read_text().replace("274_080", "100"))
    study = studies.write_study(
        tmp_path, ('"zcu102"', f'"{small}"'), ("latency_cycles = 50", "latency_cycles = 1"), ("0.9\nlat", "1.0\nlat")
    )
    for run, budgets in (("once", "2"), ("twice", "12")):
        for budget in budgets:
            arguments = ["optimize", str(study), "--out", str(tmp_path / run), "--evaluations", budget]
            assert cli.run(arguments) == cli.UNMET
    once, twice = result(tmp_path / "once"), result(tmp_path / "twice")
    assert set(once["nearest"]["broken"]) >= {"accuracy_faulty", "capacity", "latency_cycles"}
    assert studies.without_seconds(once) == studies.without_seconds(twice)
    capsys.readouterr()


def test_a_store_whose_making_was_killed_opens(tmp_path: Path) -> None:
    """SQLite leaves a file with pages and a hot journal, and makes it empty again when it is opened."""
    path = tmp_path / "study.sqlite"
    code = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('pragma cache_size = 1')\n"
        "db.execute('begin immediate')\n"
        "db.execute('create table meta (key text primary key, value text not null)')\n"
        "db.executemany('insert into meta values (?, ?)', ((str(i), 'x' * 3000) for i in range(50)))\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert path.stat().st_size > 0 and path.with_name("study.sqlite-journal").exists()
    with Store(path, {"name": "a"}) as store:
        assert store.evaluations("design") == []
        store.add_evaluation("design", 0, {"x": 1})
    with Store(path, {"name": "a"}) as store:
        assert store.evaluations("design") == [{"x": 1}]
