"""Workers that are those of a Dask cluster.

Every shard is given to a worker by name: so a worker of another release gets none, whenever it joins, and the shards of
one that is gone are known. Dask brings description and counts to and fro and starts workers again.
"""

import asyncio
import json
import logging
import re
import socket
import time
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from codesign.campaign.shards import Release, release, run_shard
from codesign.campaign.task import Task
from codesign.campaign.workers import Done, Lost
from codesign.errors import CodesignError, ConfigError, WorkersError
from codesign.files import digest_of
from codesign.progress import say

# Of the package distributed, which is imported where it is needed and has few types.
Client: TypeAlias = Any
Future: TypeAlias = Any

_CONNECT_SECONDS = 8.0
# How often the cluster is asked which workers are there, and how long it may take to answer.
_LOOK_SECONDS, _ANSWER_SECONDS = 1.0, 10.0
# How long a campaign waits for a first worker, or for another one when all have ended.
_PATIENCE_SECONDS = 600.0
_HOST_AND_PORT = re.compile(r"[^/]+:\d+")
_EXPECTED = "expected an address such as tcp://host:8786, or the file that `dask scheduler --scheduler-file` writes"


class DaskCluster:
    """The workers of a running scheduler, named by its address (tcp://host:port) or its scheduler file.

    Raises ConfigError without the package `distributed` or for an address that cannot be one, and WorkersError where
    the scheduler or all of its workers cannot be used.
    """

    def __init__(self, address: str) -> None:
        self.address = _address(address)
        self._workers: dict[str, int] = {}
        self._refused: dict[str, str] = {}
        self._client: Client = None
        self._given: dict[Future, tuple[str, range]] = {}
        self._finished: SimpleQueue[Future] = SimpleQueue()
        self._looked = self._seen = time.monotonic()

    def __enter__(self) -> "DaskCluster":
        with ExitStack() as stack:
            stack.enter_context(_quiet())
            self._client = stack.enter_context(_connected(self.address))
            self._check_version_of_scheduler()
            self._find_workers()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._forget(list(self._given))
        self._stack.close()

    def begin(self, task: Task) -> None:
        self._forget(list(self._given))
        description = task.to_bytes()
        self._digest = digest_of(description)
        # A task of its own, not scattered data: the scheduler makes it again if every worker that held it is gone.
        self._description = self._client.submit(bytes, description, key=f"codesign-{self._digest}")

    def slots(self) -> Mapping[str, int]:
        return self._workers

    def submit(self, worker: str, shard: range) -> None:
        arguments = (self._digest, self._description, shard.start, shard.stop)
        future = self._client.submit(run_shard, *arguments, workers=[worker], pure=False)
        self._given[future] = (worker, shard)
        future.add_done_callback(self._finished.put)

    def wait(self, *, block: bool = True) -> list[Done | Lost]:
        futures = []
        try:
            futures.append(self._finished.get(block, _LOOK_SECONDS))
            while True:
                futures.append(self._finished.get_nowait())
        except Empty:
            pass
        found = [event for future in futures if future in self._given and (event := self._outcome(future))]
        if block and time.monotonic() >= self._looked + _LOOK_SECONDS:
            found += [Lost(worker, "has left the cluster") for worker in self._find_workers()]
        return found

    def _outcome(self, future: Future) -> Done | Lost | None:
        """None where the counts could not be had yet; if they were lost with their worker, its end is noticed soon."""
        worker, shard = self._given.pop(future)
        try:
            rows, seconds = future.result(_ANSWER_SECONDS)
        except CodesignError:
            raise
        except TimeoutError:
            self._given[future] = (worker, shard)
            self._finished.put(future)
            return None
        except Exception as error:  # noqa: BLE001, whatever happened there
            self._check_scheduler()
            return Lost(worker, f"failed with {_line(error)}", shard)
        return Done(worker, shard, rows, seconds)

    def _forget(self, futures: list[Future]) -> None:
        for future in futures:
            del self._given[future]
            if self._client.status == "running":
                future.cancel()

    def _check_scheduler(self) -> None:
        if self._client.status != "running":
            raise WorkersError(f"the Dask scheduler {self.address} is gone; finished trials are kept")

    def _check_version_of_scheduler(self) -> None:
        """It computes nothing, but reads what the workers are asked to run."""
        try:
            self._client.run_on_scheduler(release)
        except Exception as error:  # noqa: BLE001, as the scheduler gives it
            raise WorkersError(
                f"the Dask scheduler {self.address} runs without codesign {release().version}: start it from an "
                f"environment that has it ({_line(error)})"
            ) from None

    def _find_workers(self) -> list[str]:
        """Look which workers are there, check those that are new, and name those that are gone."""
        self._check_scheduler()
        there = self._ask(self._client.scheduler.identity, n_workers=-1)["workers"]
        self._looked = time.monotonic()
        gone = self._workers.keys() - there.keys()
        self._forget([future for future, (worker, _) in self._given.items() if worker in gone])
        self._workers = {worker: slots for worker, slots in self._workers.items() if worker not in gone}
        self._refused = {worker: why for worker, why in self._refused.items() if worker in there}
        new = [worker for worker in there if worker not in self._workers and worker not in self._refused]
        for worker, why in self._unlike(new).items():
            if why:
                self._refused[worker] = why
                say(f"{why}: it gets no trials")
            else:
                self._workers[worker] = int(there[worker]["nthreads"])
        self._check_patience()
        return sorted(gone)

    def _check_patience(self) -> None:
        if self._workers:
            self._seen = self._looked
        elif self._refused:
            raise WorkersError(f"{next(iter(self._refused.values()))}; the cluster has no other worker")
        elif self._looked - self._seen > _PATIENCE_SECONDS:
            raise WorkersError(
                f"the Dask scheduler {self.address} had no workers for {_PATIENCE_SECONDS:.0f} s; start "
                f"`dask worker {self.address}`; finished trials are kept"
            )

    def _unlike(self, workers: list[str]) -> dict[str, str]:
        """What is wrong with each worker; nothing with one that computes what this process does."""
        if not workers:
            return {}
        found = {}
        for worker, theirs in self._client.run(release, workers=workers, on_error="return").items():
            if isinstance(theirs, OSError):
                continue  # gone again, or asked once more at the next look
            other = theirs.unlike(release()) if isinstance(theirs, Release) else self._other(worker, theirs)
            found[worker] = other and f"worker {worker} {other}"
        return found

    def _other(self, worker: str, error: Exception) -> str:
        """What a worker runs that lacks the function to say it by itself."""
        found, here = self._client.run(version, "codesign", workers=[worker], on_error="return").get(worker), release()
        if isinstance(found, str) and found != here.version:
            return f"runs codesign {found}, this is {here.version}"
        return f"cannot run this codesign {here.version} ({_line(error)})"

    def _ask(self, what: Any, **arguments: Any) -> Any:
        try:
            return self._client.sync(what, **arguments, callback_timeout=_ANSWER_SECONDS)
        except OSError:
            raise WorkersError(
                f"the Dask scheduler {self.address} does not answer any more; finished trials are kept"
            ) from None


def _address(given: str) -> str:
    """The address with its protocol, itself or as the scheduler file of that name says it."""
    address = given
    if "://" not in given and not _HOST_AND_PORT.fullmatch(given):
        try:
            address = str(json.loads(Path(given).read_text())["address"])
        except OSError as error:
            raise ConfigError(f"Dask scheduler '{given}': {_EXPECTED} ({error.strerror})") from None
        except (ValueError, LookupError, TypeError):
            raise ConfigError(f"Dask scheduler '{given}': {_EXPECTED} (this file holds no address)") from None
    address = address if "://" in address else f"tcp://{address}"
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("tcp", "tls") and parts.hostname and parts.port
    except ValueError:
        good = None
    if not good:
        raise ConfigError(f"Dask scheduler '{given}': {_EXPECTED}")
    return address


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _distributed() -> Any:
    """The package, which takes a second to import and is not everywhere."""
    try:
        return import_module("distributed")
    except ImportError:
        raise ConfigError(
            "a Dask cluster needs the package distributed, which is not installed: pip install 'codesign[dask]'"
        ) from None


async def _greet(address: str) -> None:
    """Connect and part. Raises TimeoutError for what accepts but says nothing, where a client would wait for ever."""
    distributed = _distributed()
    arguments = distributed.Security().get_connection_args("client")
    async with asyncio.timeout(_CONNECT_SECONDS):
        comm = await distributed.comm.connect(address, **arguments)
        await comm.close()


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    distributed, parts = _distributed(), urlsplit(address)
    if parts.scheme == "tls" and distributed.Security().get_connection_args("client").get("ssl_context") is None:
        raise ConfigError(f"{address} needs certificates: name them in Dask's configuration, distributed.comm.tls")
    try:
        # Says at once what is wrong, where a client would try again until its time is over.
        socket.create_connection((parts.hostname, parts.port), _CONNECT_SECONDS / 2).close()
        with ThreadPoolExecutor(1) as thread:  # the caller may run a loop, as notebooks do
            thread.submit(asyncio.run, _greet(address)).result()
        client = distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except TimeoutError:
        raise WorkersError(f"cannot reach the Dask scheduler {address}: it does not answer") from None
    except (OSError, ImportError) as error:
        why = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise WorkersError(f"cannot reach the Dask scheduler {address}: {why}") from None
    try:
        yield client
    finally:
        client.close(_CONNECT_SECONDS)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what Dask says on the way: of connections that are lost, of large descriptions, of other versions.

    What it means for a campaign stands in the errors; and versions of packages need not be equal, `Release` says.
    """
    distributed = _distributed()
    loggers = [logging.getLogger(f"distributed.{name}") for name in ("client", "core", "batched", "utils")]
    levels = [logger.level for logger in loggers]
    with (
        warnings.catch_warnings(),
        import_module("dask.config").set({"distributed.admin.large-graph-warning-threshold": "1 TB"}),
    ):
        warnings.filterwarnings("ignore", category=distributed.versions.VersionMismatchWarning)
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
