"""A board on the desk, for those who have none: `vivado` makes virtual bitstreams, the board is an SSH server.

Run as a program in a board's project, it writes the virtual design.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import board_tools
import numpy as np
import pytest

from codesign.board.virtual import virtual_package
from codesign.hls.folder import Project

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"


def virtual_design(project: Project) -> None:
    """`build/design.bit` and `.hwh` of a project, for the virtual board."""
    with tempfile.TemporaryDirectory() as folder:
        package = virtual_package(project, Path(folder), np.zeros((1, project.network.n_in), np.int64))
        for path in package.folder.glob("design.*"):
            shutil.copy(path, project.folder / "build")


def virtual_vivado(tools: Path) -> None:
    """In place of the stand-in that leaves a bitstream that is none."""
    written = f'PYTHONPATH="{ROOT}" {sys.executable} {__file__}'
    board_tools.stand_in(tools, "vivado", f"{board_tools.vivado_body(tools / 'timing.rpt')}; {written}")


@contextmanager
def board_by_ssh(folder: Path) -> Iterator[list[str]]:
    """The options of commands that reach a virtual board; its home is `folder / "board"`."""
    import paramiko
    import ssh_server

    host_key, user_key = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
    home, remote, python = folder / "me", folder / "board", folder / "python"
    (home / ".ssh").mkdir(parents=True)
    remote.mkdir()
    user_key.write_private_key_file(str(home / ".ssh" / "id_ecdsa"))
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec {sys.executable} -W ignore -m codesign.board.virtual "$@"\n'
    )
    python.chmod(0o755)
    kept = {name: os.environ[name] for name in ("PATH", "CODESIGN_CACHE", "OMP_NUM_THREADS") if name in os.environ}
    server = ssh_server.serve(remote, host_key, user_key, kept)
    known = f"[{HOST}]:{server.port} {host_key.get_name()} {host_key.get_base64()}\n"
    (home / ".ssh" / "known_hosts").write_text(known)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        yield ["--host", HOST, "--port", str(server.port), "--user", "x", "--python", str(python), "--no-sudo"]
    server.stop()


if __name__ == "__main__":
    virtual_design(Project.open(Path.cwd()))
