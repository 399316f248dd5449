#!/bin/sh
# Check what codesign needs from the system. Prints the Python to use and exits 0,
# or prints one line that says what is missing and how to install it, and exits 2.
# PYTHON=/path/to/python3.11 names the Python; otherwise .venv's, then python3.11, then python3 is taken.
set -u

missing=""
packages=""
hint=""

need() { # what is missing, Debian packages that bring it
    missing="${missing:+$missing, and }$1"
    packages="$packages $2"
}

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

if [ -n "${PYTHON:-}" ]; then candidates=$PYTHON; else candidates=".venv/bin/python python3.11 python3"; fi
python=""
seen=""
for candidate in $candidates; do
    version=$(version_of "$candidate") || continue
    if [ "$version" = 3.11 ]; then
        python=$candidate
        break
    fi
    seen="$candidate is $version"
done

if [ -z "$python" ]; then
    need "Python 3.11 (${seen:-$(echo "$candidates" | sed 's/^.venv[^ ]* //; s/ / or /g') does not run})" "python3.11 python3.11-venv"
    hint=" (or name one: PYTHON=/path/to/python3.11)"
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    need "Python's venv module ($python has none)" python3.11-venv
else
    # The interpreter behind a shim or an environment: .venv must not be made from itself.
    python=$("$python" -c 'import os, sys; print(os.path.join(sys.base_prefix, "bin", "python3.11"))')
fi
g++ --version >/dev/null 2>&1 || need "the C++ compiler g++" g++

if [ -n "$missing" ]; then
    echo "codesign needs $missing; on Debian: apt install$packages$hint"
    exit 2
fi
echo "$python"
