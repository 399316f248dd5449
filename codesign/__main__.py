"""`python -m codesign`, and what the `codesign` command runs: Ctrl-C is one line even while modules are loaded."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from codesign.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("codesign: interrupted; nothing was begun\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
