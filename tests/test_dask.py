"""Campaigns on a real Dask cluster: scheduler and workers are processes that these tests start."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import studies
from stores import kept, stored
from test_campaign import campaign
from test_workers import TASK

from codesign.campaign import dask as dask_module
from codesign.campaign.dask import DaskCluster
from codesign.campaign.shards import release
from codesign.campaign.store import Store
from codesign.errors import ConfigError, WorkersError

ROOT = Path(__file__).resolve().parent.parent


class Cluster:
    """A scheduler of its own and workers that import codesign from a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "scheduler.json"
        folder.mkdir(exist_ok=True)
        self._started: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--port", "0", "--host", "127.0.0.1")
        studies.until(self.file.exists)

    def worker(self, codesign: Path = ROOT) -> subprocess.Popen[bytes]:
        options = ("--no-nanny", "--nthreads", "1", "--local-directory", str(self.folder))
        return self._start("worker", *options, codesign=codesign)

    def _start(self, *arguments: str, codesign: Path = ROOT) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard", "--scheduler-file", str(self.file)]
        environment = {**os.environ, "PYTHONPATH": str(codesign)}
        with (self.folder / f"log{len(self._started)}").open("wb") as log:
            self._started.append(subprocess.Popen(command, stderr=log, cwd=self.folder, env=environment))
        return self._started[-1]

    @contextmanager
    def of(self, workers: int) -> Iterator[DaskCluster]:
        """A connection, once so many workers are there."""
        with DaskCluster(str(self.file)) as cluster:
            studies.until(lambda: cluster.wait() or len(cluster.slots()) >= workers)
            yield cluster

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()


@contextmanager
def started(folder: Path, workers: int) -> Iterator[Cluster]:
    cluster = Cluster(folder)
    try:
        for _ in range(workers):
            cluster.worker()
        yield cluster
    finally:
        cluster.end()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with started(tmp_path_factory.mktemp("cluster"), 2) as found:
        yield found


def altered(folder: Path, file: str, text: str) -> Path:
    """A copy of the package with a file that ends otherwise."""
    for part in ("codesign", "hls_templates"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "native"))
    with (folder / "codesign" / file).open("a") as changed:
        changed.write(text)
    return folder


# ---------------------------------------------------------------- the same counts


def test_a_cluster_that_loses_a_worker_counts_as_one_process_does(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    third = cluster.worker()
    done: list[int] = []

    def kill(trials: int) -> None:
        done.append(trials)
        if trials > 2000:
            third.kill()

    with cluster.of(3) as workers, Store(tmp_path / "study.sqlite") as store:
        found = campaign(100_000, workers=workers, store=store, progress=kill)
        assert found == campaign(100_000, threads=1)
        assert np.array_equal(kept(store, TASK.key), found.counts)
        studies.until(lambda: workers.wait() or len(workers.slots()) == 2)
    assert third.wait() == -signal.SIGKILL and done[-1] == 100_000
    assert "Traceback" not in capsys.readouterr().err


def test_campaigns_follow_each_other_and_stop_where_one_process_does(cluster: Cluster) -> None:
    arguments: dict[str, Any] = {"requirements": ["accuracy>=0.5@0.99"], "stop_when_decided": True}
    with cluster.of(2) as workers:
        alone = campaign(20_000, **arguments)
        assert campaign(20_000, **arguments, workers=workers) == alone and alone.trials < 20_000
        assert campaign(30, simulator="reference", workers=workers) == campaign(30, simulator="reference")


def test_the_command_hands_a_campaign_to_a_cluster(cluster: Cluster, tmp_path: Path) -> None:
    study = studies.write_study(tmp_path)
    command = ("campaign", study, "--verify", "0", "--json", "--out")
    there = studies.codesign(*command, tmp_path / "there", "--dask", cluster.file)
    here = studies.codesign(*command, tmp_path / "here")
    assert there.returncode == 0 and there.stderr == "", there.stderr
    assert json.loads(there.stdout) == json.loads(here.stdout)


@pytest.mark.cxx
@pytest.mark.slow
def test_a_search_on_a_cluster_finds_what_it_finds_here(cluster: Cluster, finished_run: Path, tmp_path: Path) -> None:
    study = finished_run.parent / "tiny.toml"
    done = studies.codesign("optimize", study, "--dask", cluster.file, "--out", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    here = json.loads((finished_run / "result.json").read_text())
    assert studies.without_seconds(json.loads(done.stdout)) == studies.without_seconds(here)


# ---------------------------------------------------------------- who is refused, and what is lost


@pytest.mark.slow
def test_workers_of_another_release_get_nothing(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = altered(tmp_path / "older", "__init__.py", '\n__version__ = "0.0.9"\n')
    changed = altered(tmp_path / "changed", "faults.py", "\n# another line\n")
    empty = tmp_path / "empty"
    (empty / "codesign").mkdir(parents=True)
    (empty / "codesign" / "__init__.py").touch()
    with cluster.of(2) as workers:
        assert capsys.readouterr().err == ""
        others = [cluster.worker(folder) for folder in (older, changed, empty)]
        said = ""
        while said.count("it gets no trials") < 3:  # they join in the middle
            assert campaign(5000, workers=workers) == campaign(5000)
            workers.wait()
            said += capsys.readouterr().err
        assert len(workers.slots()) == 2
    assert "runs codesign 0.0.9, this is 0.1.0: it gets no trials" in said
    assert f"runs codesign 0.1.0 (engine interface {release().engine}, sources" in said
    assert "cannot run this codesign 0.1.0 (" in said
    for process in others:
        process.kill()


@pytest.mark.slow
def test_a_cluster_of_another_release_only_is_refused(tmp_path: Path) -> None:
    with started(tmp_path, 0) as cluster:
        cluster.worker(altered(tmp_path / "older", "__init__.py", '\n__version__ = "0.0.9"\n'))
        said = r"^worker tcp://\S+ runs codesign 0\.0\.9, this is 0\.1\.0; the clus"
        with pytest.raises(WorkersError, match=said), cluster.of(1):
            pass


@pytest.mark.slow
def test_a_scheduler_that_is_lost_ends_the_campaign_and_keeps_its_trials(tmp_path: Path) -> None:
    study = studies.write_study(tmp_path)
    command = ("campaign", study, "--verify", "0", "--trials", "100000000", "--out", tmp_path / "run")
    with started(tmp_path, 1) as cluster:
        process = studies.start(*command, "--dask", cluster.file)
        store = tmp_path / "run" / "study.sqlite"
        studies.until(lambda: store.exists() and stored(store) > 20)
        cluster.scheduler.kill()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    *before, last = errors.splitlines(keepends=True)
    assert "is gone; finished trials are kept" in studies.refusal(last) and stored(store) > 20
    # What was on its way can fail a moment before the scheduler is known to be gone.
    assert all(line.endswith("trials are run again\n") for line in before)


@pytest.mark.slow
def test_a_cluster_without_workers_is_waited_for_and_given_up(tmp_path: Path, monkeypatch: Any) -> None:
    with started(tmp_path, 0) as cluster:
        with DaskCluster(str(cluster.file)) as workers:
            threading.Timer(1.5, cluster.worker).start()
            assert campaign(50, workers=workers) == campaign(50)
        monkeypatch.setattr(dask_module, "_PATIENCE_SECONDS", 0.5)
    said = "had no workers for 0 s; start `dask worker tcp://"
    with (
        started(tmp_path / "other", 0) as cluster,
        pytest.raises(WorkersError, match=said),
        DaskCluster(str(cluster.file)) as workers,
    ):
        campaign(50, workers=workers)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://127.0.0.1:1", "cannot reach the Dask scheduler tcp://127.0.0.1:1: Connection refused"),
        ("127.0.0.1:1", "cannot reach the Dask scheduler tcp://127.0.0.1:1: Connection refused"),
        ("tls://127.0.0.1:1", "needs certificates: name them in Dask's configuration"),
    ],
)
def test_a_scheduler_that_cannot_be_reached_is_one_line(address: str, said: str, tmp_path: Path) -> None:
    done = studies.codesign("campaign", studies.write_study(tmp_path), "--dask", address)
    assert done.returncode == 2 and said in studies.refusal(done.stderr)


def test_what_answers_but_is_no_scheduler_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_module, "_CONNECT_SECONDS", 0.5)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(WorkersError, match=r"cannot reach the Dask scheduler tcp://127\S+ it does not answer"),
        DaskCluster(f"tcp://127.0.0.1:{server.getsockname()[1]}"),
    ):
        pass


@pytest.mark.parametrize(
    "address", ["", "nofile", "foo://host:1", "tcp://host", "tcp://:1", "tcp://host:x", "tcp://h:0"]
)
def test_an_address_that_cannot_be_one_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected an address such as tcp://host:8786, or the file"):
        DaskCluster(address)


def test_a_file_that_holds_no_address_is_refused(tmp_path: Path) -> None:
    for number, text in enumerate(("", "[]", '{"id": 1}', "1")):
        path = tmp_path / str(number)
        path.write_text(text)
        with pytest.raises(ConfigError, match="this file holds no address"):
            DaskCluster(str(path))


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"pip install 'codesign\[dask\]'"), DaskCluster("tcp://127.0.0.1:1"):
        pass
