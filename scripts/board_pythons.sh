#!/bin/sh
# Environments with NumPy of the Pythons that PYNQ's images have, in .board-pythons, for the tests of the board's runtime.
# Each is taken from the PATH or from pyenv; those that are not there are left out. Prints the interpreters, ":" between.
set -eu
cd "$(dirname "$0")/.."
found=""
for version in 3.8 3.10; do
    for python in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
        "$python" -c "import venv" 2>/dev/null || continue
        folder=.board-pythons/$version
        if ! "$folder/bin/python" -c "import numpy" 2>/dev/null; then
            "$python" -m venv --clear "$folder" >&2 && "$folder/bin/python" -m pip install --quiet numpy >&2 || break
        fi
        found="$found:$PWD/$folder/bin/python"
        break
    done
done
echo "${found#:}"
