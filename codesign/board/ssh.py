"""A board over SSH: keys or an agent, host keys that are known, commands without a shell's surprises, whole folders.

There are no passwords, and no way to leave out the check of the host's key.
"""

import contextlib
import errno
import secrets
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codesign.board.ssh_open import Target, find, open_client
from codesign.errors import BoardError

if TYPE_CHECKING:
    import paramiko

TIMEOUT_S, RUN_S = 10.0, 60.0
_LOOK_S, _CHUNK, _MAX_OUTPUT = 0.02, 2**16, 64 * 2**20
# Staging folders of copies that were killed, so that nobody could remove them; minutes.
_STALE_MIN = 60
# $1 is the staging folder, $2 the target: the old target goes only once the new one stands there.
_SWAP = 'set -e; if [ -e "$2" ]; then mv -T "$2" "$1.old"; fi; mv -T "$1" "$2"; rm -rf "$1.old"'


@dataclass(frozen=True)
class Ran:
    """What a command on the board gave."""

    exit: int
    stdout: str
    stderr: str

    @property
    def words(self) -> str:
        """The last that it said, in one line."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1].strip() if lines else "it said nothing"


@contextlib.contextmanager
def connect(
    host: str, user: str | None = None, port: int | None = None, timeout_s: float = TIMEOUT_S
) -> Iterator["Link"]:
    """A connection to a board; user, port, address and keys are taken from ~/.ssh/config where they are not given.

    Raises BoardError, in one line, for a host that cannot be reached, is not known or shows another key than it used
    to, and when it takes none of the keys.
    """
    target = find(host, user, port)
    link = Link(open_client(target, timeout_s), target)
    try:
        yield link
    finally:
        link.close()


class Link:
    """An open connection. Whatever breaks it is a BoardError."""

    def __init__(self, client: "paramiko.SSHClient", target: Target) -> None:
        self._client, self.target = client, target

    def close(self) -> None:
        """Nothing runs over it any more."""
        self._client.close()

    def run(self, argv: Sequence[str], timeout_s: float = RUN_S) -> Ran:
        """Run a command to its end; every word reaches it as it is. Raises BoardError after `timeout_s` seconds."""
        with self._told(f"while it ran {argv[0]}"):
            transport = self._client.get_transport()
            if transport is None or not transport.is_active():
                raise EOFError
            channel = transport.open_session(timeout=timeout_s)
            with contextlib.closing(channel):
                channel.exec_command(shlex.join(argv))
                channel.shutdown_write()
                return self._collect(channel, argv, timeout_s)

    def _collect(self, channel: "paramiko.Channel", argv: Sequence[str], timeout_s: float) -> Ran:
        end = time.monotonic() + timeout_s
        output, errors = bytearray(), bytearray()
        while True:
            over = channel.exit_status_ready()  # asked first: what came before it is there by now
            while channel.recv_ready():
                output += channel.recv(_CHUNK)
            while channel.recv_stderr_ready():
                errors += channel.recv_stderr(_CHUNK)
            if len(output) + len(errors) > _MAX_OUTPUT:
                raise BoardError(f"{self.target}: {argv[0]} writes more than {_MAX_OUTPUT >> 20} MiB")
            if over and (channel.eof_received or channel.closed):
                break
            if time.monotonic() > end:
                raise BoardError(f"{self.target}: {argv[0]} took more than {timeout_s:g} s")
            time.sleep(_LOOK_S)
        code = channel.recv_exit_status()
        if code < 0:  # the connection ended before the command did
            raise EOFError
        return Ran(code, output.decode(errors="replace"), errors.decode(errors="replace"))

    def stage(self, folder: Path, remote: str) -> str:
        """Copy a folder beside `remote`; gives the staging folder, which is gone again if anything fails.

        `remote` is absolute. Raises BoardError for too little room before anything is copied.
        """
        parent, _, name = remote.rpartition("/")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        self._demand(["mkdir", "-p", parent], f"cannot make {parent}")
        stale = ["-maxdepth", "1", "-name", f"{name}.new-*", "-mmin", f"+{_STALE_MIN}"]
        self.run(["find", parent, *stale, "-exec", "rm", "-rf", "{}", "+"])
        self._demand_room(parent, sum(path.stat().st_size for path in files))
        staging = f"{remote}.new-{secrets.token_hex(6)}"
        try:
            self._copy(folder, files, staging)
        except BaseException:
            with contextlib.suppress(BoardError):  # the connection may be what failed
                self.remove(staging)
            raise
        return staging

    def put(self, folder: Path, remote: str) -> None:
        """Copy a folder to an absolute path, in the place of what is there; half a copy is never there."""
        self.install(self.stage(folder, remote), remote)

    def install(self, staging: str, remote: str) -> None:
        """Let a staged folder take the place of `remote`."""
        self._demand(["sh", "-c", _SWAP, "codesign", staging, remote], f"cannot put it to {remote}")

    def remove(self, remote: str) -> None:
        """Remove a folder, also what root has put into it."""
        if self.run(["rm", "-rf", remote]).exit:
            self.run(["sudo", "-n", "rm", "-rf", remote])

    def room(self, folder: str) -> int:
        """Bytes that are free there."""
        told = self.run(["df", "-Pk", folder])
        words = told.stdout.splitlines()[-1].split() if told.exit == 0 and told.stdout.strip() else []
        if len(words) < 4 or not words[3].isdecimal():
            raise BoardError(f"{self.target}: cannot tell how much room {folder} has: {told.words}")
        return 1024 * int(words[3])

    def _copy(self, folder: Path, files: list[Path], staging: str) -> None:
        try:
            with self._told("while files were copied"), contextlib.closing(self._client.open_sftp()) as sftp:
                sftp.get_channel().settimeout(RUN_S)  # type: ignore[union-attr]
                sftp.mkdir(staging)
                inside = {path.relative_to(folder).parent for path in files}
                for one in sorted({parent for path in inside for parent in (path, *path.parents)} - {Path()}):
                    sftp.mkdir(f"{staging}/{one.as_posix()}")
                for path in files:
                    sftp.put(str(path), f"{staging}/{path.relative_to(folder).as_posix()}")
        except _Refused as refused:
            room = self.room(staging.rpartition("/")[0])
            if room < 2**20:
                raise BoardError(f"{self.target}: no space left, {_size(room)} are free") from None
            raise BoardError(f"{self.target}: cannot copy to {staging} (a quota?): {refused}") from None

    def _demand_room(self, folder: str, needed: int) -> None:
        if (free := self.room(folder)) < needed:
            raise BoardError(
                f"{self.target}: not enough space: {_size(needed)} are needed, {folder} has {_size(free)} free"
            )

    def _demand(self, argv: Sequence[str], otherwise: str) -> Ran:
        if (told := self.run(argv)).exit:
            raise BoardError(f"{self.target}: {otherwise}: {told.words}")
        return told

    @contextlib.contextmanager
    def _told(self, when: str) -> Iterator[None]:
        """A connection that breaks is said in one line."""
        import paramiko

        try:
            yield
        except paramiko.SFTPError as error:
            raise _Refused(error) from None
        except (paramiko.SSHException, EOFError, TimeoutError, ConnectionError) as error:
            raise BoardError(f"lost the connection to {self.target} {when}{_because(error)}") from None
        except OSError as error:
            if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EPIPE, errno.EBADF):
                raise BoardError(f"lost the connection to {self.target} {when}{_because(error)}") from None
            raise _Refused(error.strerror or error) from None


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    """The other side would not do it."""


def _because(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f": {text}" if text else ""


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
