"""A real SSH server on loopback: real keys, real commands through a shell, real files over SFTP.

It can be told to break: to have no room from some byte on, to lose the connection, to show another key.
"""

import contextlib
import errno
import functools
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
import pytest
from paramiko import SFTPAttributes, SFTPHandle, SFTPServer, SFTPServerInterface

HOST = "127.0.0.1"


@dataclass
class Faults:
    """What goes wrong; changed while it runs."""

    room: int | None = None  # bytes that SFTP may write
    cut_after: int | None = None  # bytes after which the connection is lost
    cut_command: str = ""  # a command with this word loses the connection
    commands: list[str] = field(default_factory=list)  # what was run
    written: int = 0
    hang_up: Callable[[], None] = lambda: None


@dataclass
class Server:
    """Where it listens and what it knows."""

    port: int
    home: Path
    faults: Faults
    stop: Callable[[], None]
    change: Callable[[dict[str, str]], None]  # the environment of commands


class _Handle(SFTPHandle):
    def __init__(self, path: Path, flags: int, faults: Faults) -> None:
        super().__init__(flags)
        self._faults = faults
        self._file = os.open(path, flags & ~os.O_EXCL, 0o644)

    def write(self, offset: int, data: bytes) -> int:
        faults = self._faults
        faults.written += len(data)
        if faults.room is not None and faults.written > faults.room:
            return paramiko.SFTP_FAILURE  # as OpenSSH says it of a full disk
        if faults.cut_after is not None and faults.written > faults.cut_after:
            faults.hang_up()
            return paramiko.SFTP_FAILURE
        os.pwrite(self._file, data, offset)
        return paramiko.SFTP_OK

    def stat(self) -> SFTPAttributes:
        return SFTPAttributes.from_stat(os.fstat(self._file))

    def close(self) -> None:
        os.close(self._file)


class _Files(SFTPServerInterface):
    def __init__(self, server: "_Session") -> None:
        self._session = server

    def _path(self, path: str) -> Path:
        return self._session.home / path

    def open(self, path: str, flags: int, attr: SFTPAttributes) -> SFTPHandle | int:
        try:
            return _Handle(self._path(path), flags, self._session.faults)
        except OSError as error:
            return SFTPServer.convert_errno(error.errno or errno.EIO)

    def stat(self, path: str) -> SFTPAttributes | int:
        try:
            return SFTPAttributes.from_stat(self._path(path).stat())
        except OSError as error:
            return SFTPServer.convert_errno(error.errno or errno.EIO)

    lstat = stat

    def mkdir(self, path: str, attr: SFTPAttributes) -> int:
        try:
            self._path(path).mkdir()
        except OSError as error:
            return SFTPServer.convert_errno(error.errno or errno.EIO)
        return paramiko.SFTP_OK


class _Session(paramiko.ServerInterface):
    def __init__(self, allowed: paramiko.PKey, home: Path, faults: Faults, environment: dict[str, str]) -> None:
        self.allowed, self.home, self.faults, self.environment = allowed, home, faults, environment

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if key == self.allowed else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._execute, args=(channel, command.decode()), daemon=True).start()
        return True

    def _execute(self, channel: paramiko.Channel, command: str) -> None:
        self.faults.commands.append(command)
        if self.faults.cut_command and self.faults.cut_command in command:
            return self.faults.hang_up()
        # As sshd: through the user's shell, in the home folder.
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        pumps = [
            threading.Thread(target=_pump, args=(process.stdout, channel.sendall), daemon=True),
            threading.Thread(target=_pump, args=(process.stderr, channel.sendall_stderr), daemon=True),
        ]
        for pump in pumps:
            pump.start()
        while process.poll() is None:
            if channel.closed:  # as sshd when the client has gone
                os.killpg(process.pid, signal.SIGKILL)
            threading.Event().wait(0.01)
        for pump in pumps:
            pump.join()
        if not channel.closed:
            channel.send_exit_status(process.returncode)
            channel.close()
        return None


def _pump(source: object, send: Callable[[bytes], None]) -> None:
    with source:  # type: ignore[attr-defined]
        while data := source.read1(2**15):  # type: ignore[attr-defined]
            try:
                send(data)
            except OSError:
                return


def serve(
    home: Path, host_key: paramiko.PKey, allowed: paramiko.PKey, environment: dict[str, str] | None = None
) -> Server:
    """Start a server for one client key; `environment` is that of its commands, besides PATH and HOME."""
    listener = socket.create_server((HOST, 0))
    faults, transports = Faults(), []
    variables = {"PATH": os.environ["PATH"], "HOME": str(home), **(environment or {})}

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(host_key)
            transport.set_subsystem_handler("sftp", SFTPServer, _Files)
            transports.append(transport)
            faults.hang_up = functools.partial(_cut, connection)
            try:
                transport.start_server(server=_Session(allowed, home, faults, variables))
            except (paramiko.SSHException, EOFError, OSError):  # a client that does not like us
                transport.close()

    def stop() -> None:
        listener.close()
        for transport in transports:
            transport.close()

    threading.Thread(target=accept, daemon=True).start()
    return Server(listener.getsockname()[1], home, faults, stop, variables.update)


def _cut(connection: socket.socket) -> None:
    """The line is dead: nothing comes through any more, both sides notice."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def serve_known(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str] | None = None,
    keys: tuple[paramiko.PKey, paramiko.PKey] | None = None,
) -> Server:
    """A server for the user whose HOME is `me` in the folder, who knows it; its own home is `board`.

    Keys are the host's and the user's.
    """
    host_key, user_key = keys or (paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate())
    home, remote = folder / "me", folder / "board"
    (home / ".ssh").mkdir(parents=True)
    remote.mkdir()
    user_key.write_private_key_file(str(home / ".ssh" / "id_ecdsa"))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    server = serve(remote, host_key, user_key, environment)
    know(home, server.port, host_key)
    return server


def know(home: Path, port: int, key: paramiko.PKey) -> None:
    """This key is the one that the user expects there."""
    (home / ".ssh" / "known_hosts").write_text(f"[{HOST}]:{port} {key.get_name()} {key.get_base64()}\n")
