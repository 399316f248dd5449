"""SSH to a real server on loopback: what runs, what is copied, and one clear line for everything that goes wrong."""

import getpass
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

paramiko = pytest.importorskip("paramiko", reason="needs paramiko: pip install 'codesign[board]'")

import ssh_server  # noqa: E402
from ssh_server import HOST, Server, know  # noqa: E402

from codesign.board.ssh import Ran, connect  # noqa: E402
from codesign.errors import BoardError, ConfigError  # noqa: E402


@pytest.fixture(scope="module")
def keys() -> tuple["paramiko.PKey", "paramiko.PKey"]:
    """The host's key and the user's."""
    return paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: tuple) -> Iterator[Server]:
    """A board that is known and takes the user's key; HOME is the user's own."""
    server = ssh_server.serve_known(tmp_path, monkeypatch, keys=keys)
    yield server
    server.stop()


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "a b" / "c").mkdir(parents=True)
    (folder / "one.bin").write_bytes(os.urandom(300_000))
    (folder / "a b" / "c" / "empty").write_bytes(b"")
    (folder / "a b" / "it's $HOME.txt").write_text("text")
    return folder


# ---------------------------------------------------------------- commands


def test_every_word_of_a_command_arrives_as_it_is(board: Server) -> None:
    words = ["a b", "$HOME", "'", '"', ";", "*", "\\", "", "-n", "\N{GREEK SMALL LETTER ALPHA}"]
    with connect(HOST, "somebody", board.port) as link:
        told = link.run(["python3", "-c", "import sys; print(sys.argv[1:])", *words])
        assert told == Ran(0, f"{words!r}\n", "")
        assert link.run(["sh", "-c", "echo out; echo wrong >&2; echo last >&2; exit 3"]) == Ran(
            3, "out\n", "wrong\nlast\n"
        )
        assert link.run(["sh", "-c", "echo wrong >&2; exit 3"]).words == "wrong"
        assert link.run(["true"]).words == "it said nothing"
        assert link.run(["pwd"]).stdout.strip() == str(board.home)


def test_much_output_on_both_sides_comes_whole(board: Server) -> None:
    code = "import sys; [(sys.stdout.write('o' * 1000), sys.stderr.write('e' * 1000)) for _ in range(3000)]"
    with connect(HOST, "somebody", board.port) as link:
        told = link.run(["python3", "-c", code])
    assert (len(told.stdout), set(told.stdout)) == (3_000_000, {"o"})
    assert (len(told.stderr), set(told.stderr)) == (3_000_000, {"e"})


def test_a_command_that_takes_too_long_is_an_error_and_the_link_stays(board: Server) -> None:
    with connect(HOST, "somebody", board.port) as link:
        with pytest.raises(BoardError, match=r"somebody@127.0.0.1:\d+: sleep took more than 0.3 s"):
            link.run(["sleep", "60"], timeout_s=0.3)
        assert link.run(["echo", "still there"]).stdout == "still there\n"


def test_a_connection_that_is_lost_is_one_line(board: Server) -> None:
    with connect(HOST, "somebody", board.port) as link:
        threading.Timer(0.3, board.faults.hang_up).start()
        began = time.monotonic()
        with pytest.raises(BoardError, match=r"lost the connection to somebody@127.0.0.1:\d+ while it ran sleep"):
            link.run(["sleep", "60"])
        assert time.monotonic() - began < 10
        with pytest.raises(BoardError, match="lost the connection"):
            link.run(["true"])


# ---------------------------------------------------------------- files


def test_a_folder_is_copied_and_takes_the_place_of_the_old_one(board: Server, files: Path) -> None:
    target = board.home / "deep" / "er" / "it's mine"
    with connect(HOST, "somebody", board.port) as link:
        link.put(files, str(target))
        assert tree(target) == tree(files)
        (files / "one.bin").unlink()
        (files / "two.bin").write_bytes(b"2")
        link.put(files, str(target))
    assert tree(target) == tree(files)
    assert [p.name for p in target.parent.iterdir()] == [target.name]


def test_a_full_board_is_said_and_nothing_stays(board: Server, files: Path) -> None:
    target = board.home / "it"
    with connect(HOST, "somebody", board.port) as link:
        link.put(files, str(target))
        before = tree(target)
        board.faults.room = board.faults.written + 100_000
        (files / "one.bin").write_bytes(os.urandom(300_000))
        with pytest.raises(
            BoardError, match=r"cannot copy to .*/it.new-[0-9a-f]{12} \(a quota\?\): (Failure|size mismatch)"
        ):
            link.put(files, str(target))
    assert tree(target) == before and [p.name for p in board.home.iterdir()] == ["it"]


FULL = """#!/bin/sh
echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'
echo "/dev/root 1000 1000 $FREE 100% /"
"""


@pytest.mark.parametrize(
    ("free", "room", "message"),
    [
        ("10", None, r"not enough space: 0.3 MB are needed, .* has 0.0 MB free"),
        ("900", 100_000, r"no space left, 0.9 MB are free"),
        ("?", None, "cannot tell how much room"),
    ],
)
def test_too_little_room_is_named(
    tmp_path: Path, board: Server, keys: tuple, files: Path, free: str, room: int | None, message: str
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "df").write_text(FULL)
    (tools / "df").chmod(0o755)
    small = ssh_server.serve(board.home, *keys, {"PATH": f"{tools}:{os.environ['PATH']}", "FREE": free})
    know(Path(os.environ["HOME"]), small.port, keys[0])
    small.faults.room = room
    with connect(HOST, "somebody", small.port) as link, pytest.raises(BoardError, match=message):
        link.put(files, str(board.home / "it"))
    assert [*board.home.iterdir()] == []
    small.stop()


@pytest.mark.parametrize("when", ["while copying", "at the swap"])
def test_a_connection_lost_leaves_the_old_copy_whole(board: Server, files: Path, when: str) -> None:
    target = board.home / "it"
    with connect(HOST, "somebody", board.port) as link:
        link.put(files, str(target))
    before = tree(target)
    if when == "while copying":
        board.faults.cut_after = board.faults.written + 100_000
    else:
        board.faults.cut_command = "mv -T"
    with connect(HOST, "somebody", board.port) as link, pytest.raises(BoardError, match="lost the connection"):
        link.put(files, str(target))
    assert tree(target) == before
    assert all(p.name == "it" or p.name.startswith("it.new-") for p in board.home.iterdir())
    board.faults.cut_after, board.faults.cut_command = None, ""
    for staged in board.home.glob("it.new-*"):  # what was left counts as forgotten after an hour
        os.utime(staged, (1, 1))
    with connect(HOST, "somebody", board.port) as link:
        link.put(files, str(target))
    assert [p.name for p in board.home.iterdir()] == ["it"]


def test_ctrl_c_while_copying_leaves_nothing(board: Server, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(paramiko.SFTPClient, "put", interrupted)
    with connect(HOST, "somebody", board.port) as link, pytest.raises(KeyboardInterrupt):
        link.put(files, str(board.home / "it"))
    assert [*board.home.iterdir()] == []


def test_a_target_that_cannot_be_is_one_line(board: Server, files: Path) -> None:
    (board.home / "file").write_text("")
    with connect(HOST, "somebody", board.port) as link, pytest.raises(BoardError, match="cannot make .*/file/x"):
        link.put(files, str(board.home / "file" / "x" / "it"))


# ---------------------------------------------------------------- who lets whom in


def test_a_host_that_is_not_known_is_refused_with_its_fingerprint(board: Server, keys: tuple) -> None:
    (Path.home() / ".ssh" / "known_hosts").unlink()
    message = rf"not among the known hosts \(.*/.ssh/known_hosts\).*{keys[0].fingerprint[:20].replace('+', '.')}"
    with pytest.raises(BoardError, match=message), connect(HOST, "somebody", board.port):
        raise AssertionError
    assert not (Path.home() / ".ssh" / "known_hosts").exists() and not board.faults.commands


def test_damaged_known_hosts_are_named(board: Server) -> None:
    path = Path.home() / ".ssh" / "known_hosts"
    for data, message in (
        (b"board ssh-ed25519 AAA\n", "no host key: 'board ssh-ed25519 AAA"),
        (b"\xff\xfe", "no text"),
    ):
        path.write_bytes(data)
        with pytest.raises(ConfigError, match=f"known_hosts .*{message}"):
            connect(HOST, "somebody", board.port).__enter__()


def test_a_host_key_that_has_changed_is_refused(board: Server) -> None:
    know(Path.home(), board.port, paramiko.ECDSAKey.generate())
    with pytest.raises(BoardError, match=r"host key of 127.0.0.1 has changed: .*ssh-keygen -R '\[127.0.0.1\]:"):
        connect(HOST, "somebody", board.port).__enter__()
    assert not board.faults.commands


def test_keys_that_are_refused_are_one_line(board: Server) -> None:
    key = Path.home() / ".ssh" / "id_ecdsa"
    key.unlink()
    with pytest.raises(BoardError, match=r"takes none of your keys .*ssh-copy-id somebody@127.0.0.1"):
        connect(HOST, "somebody", board.port).__enter__()
    paramiko.ECDSAKey.generate().write_private_key_file(str(key))
    with pytest.raises(BoardError, match="takes none of your keys"):
        connect(HOST, "somebody", board.port).__enter__()


def test_a_key_with_a_passphrase_wants_an_agent(board: Server, keys: tuple) -> None:
    key = Path.home() / ".ssh" / "id_ecdsa"
    key.unlink()
    keys[1].write_private_key_file(str(key), password="secret")
    with pytest.raises(BoardError, match="passphrase: hand it to an agent, ssh-add"):
        connect(HOST, "somebody", board.port).__enter__()


def test_a_host_that_cannot_be_reached_is_one_line() -> None:
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(BoardError, match=f"cannot reach 127.0.0.1, port {port}"):
            connect(HOST, "somebody", port, timeout_s=0.5).__enter__()
    with pytest.raises(BoardError, match=f"cannot reach 127.0.0.1, port {port}: .*refused|Unable to connect"):
        connect(HOST, "somebody", port).__enter__()
    with pytest.raises(BoardError, match="cannot reach no-such-host.invalid, port 22: "):
        connect("no-such-host.invalid", timeout_s=3).__enter__()
    for name in ("", "-oProxyCommand=x", "a b"):
        with pytest.raises(ConfigError, match="is no host name"):
            connect(name).__enter__()


def test_names_of_the_users_configuration_work(board: Server, keys: tuple, tmp_path: Path) -> None:
    home = Path.home()
    (home / ".ssh" / "id_ecdsa").rename(home / ".ssh" / "board_key")
    (home / ".ssh" / "known_hosts").rename(home / "known")
    config = home / ".ssh" / "config"
    config.write_text(
        f"Host lab\n HostName {HOST}\n Port {board.port}\n User xilinx\n IdentityFile ~/.ssh/board_key\n"
        " UserKnownHostsFile ~/known\nHost far\n ProxyJump gate\n"
    )
    with connect("lab") as link:
        assert str(link.target) == f"xilinx@lab:{board.port}" and link.run(["true"]).exit == 0
    with connect("lab", "other") as link:
        assert link.target.user == "other"
    with pytest.raises(ConfigError, match=r"config reaches far through another host \(proxyjump\)"):
        connect("far").__enter__()
    config.unlink()
    with pytest.raises(BoardError, match=f"-p {board.port} {getpass.getuser()}@127.0.0.1"):
        connect(HOST, port=board.port).__enter__()
