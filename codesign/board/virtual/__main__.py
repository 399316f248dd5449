"""`python -m codesign.board.virtual -m MODULE ARGUMENTS`: Python on a board that is virtual."""

import runpy
import sys

from codesign.board.virtual.board import virtual_board


def main(arguments: list[str]) -> None:
    """Run a module with PYNQ's device being the virtual one."""
    while arguments[:1] == ["-B"]:
        arguments = arguments[1:]
    if len(arguments) < 2 or arguments[0] != "-m":
        sys.exit("usage: python -m codesign.board.virtual -m MODULE [ARGUMENTS]")
    sys.argv = arguments[1:]
    sys.path.insert(0, "")
    with virtual_board():
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
