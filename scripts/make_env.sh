#!/bin/sh
# Make .venv from requirements.lock with the Python named as the first argument. Does nothing where it is up to date.
# The stamp is written last and holds what the environment was made from, so an interrupted or moved one is made again.
set -eu
cd "$(dirname "$0")/.."
python=$1
# Making it again would empty what the link points to.
if [ -L .venv ]; then
    echo ".venv is a link to $(readlink .venv): run make there, or remove the link" >&2
    exit 1
fi
stamp=.venv/.made-from
engine=codesign/engine/libcodesign_engine.so

packages_key="$(pwd) $python $(cksum <requirements.lock)"
wanted="$packages_key $(cat pyproject.toml scripts/build_engine.py codesign/engine/native/* | cksum)"
found=$(cat "$stamp" 2>/dev/null || true)
if ! .venv/bin/python -c "" 2>/dev/null; then found=""; fi
if [ "$found" = "$wanted" ] && [ -e "$engine" ]; then exit 0; fi

rm -f "$stamp"
pip() {
    .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"
}
case "$found" in
"$packages_key "*) ;; # only pyproject.toml or the engine's sources have changed
*)
    echo "Making .venv from requirements.lock: about 2.3 GB, a few minutes the first time."
    "$python" -m venv --clear .venv
    # Some packages come as source only. They are built with the pinned tools, so these go first.
    awk '/^[^ #]/ { keep = /^(setuptools|wheel)==/ } keep' requirements.lock >.venv/build-tools.txt
    pip install --quiet --require-hashes -r .venv/build-tools.txt
    pip install --quiet --require-hashes --no-build-isolation -r requirements.lock
    ;;
esac
pip install --quiet --no-deps --no-build-isolation -e .
pip check
printf '%s\n' "$wanted" >"$stamp"
