#!/usr/bin/env bash
# Writes requirements/*.txt anew from pyproject.toml: exact versions with hashes, for every supported Python and machine.
# A version that still fits is kept; `UPGRADE=1 scripts/lock.sh` takes the newest that fit.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
cd -- "$root"
python=${PYTHON:-.venv/bin/python}
[[ -x $python ]] || python=python3

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip --disable-pip-version-check install --quiet uv
uv=$scratch/venv/bin/uv

compile() { # compile OUTPUT ARGUMENT...: one lock, with a line that says where it comes from
    local out=requirements/$1 extra=()
    shift
    [[ -z ${UPGRADE:-} ]] || extra+=(--upgrade)
    [[ ! -f $out ]] || cp -- "$out" "$scratch/lock"
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        "${extra[@]}" --output-file "$scratch/lock" "$@" >/dev/null
    {
        echo "# Written by \`make lock\`. Do not edit; the ranges are in $origin."
        grep -v '^# Written by' "$scratch/lock"
    } >"$scratch/new"
    mv -- "$scratch/new" "$out"
    rm -f -- "$scratch/lock"
    echo "$out: $(grep -c '==' "$out") packages"
}

# dev is the largest set and leads; the others follow it, so that one version of a package is in all of them.
origin=pyproject.toml
compile dev.txt pyproject.toml --group dev
compile runtime.txt pyproject.toml --constraints requirements/dev.txt
compile pi.txt pyproject.toml --extra pi --constraints requirements/dev.txt

"$python" -c 'import tomllib; print("\n".join(tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"]))' \
    >"$scratch/build.in"
compile build.txt "$scratch/build.in" --constraints requirements/dev.txt

# Foreign programs live in an environment of their own. --no-deps: interop.in names in full what is really imported, since
# a client does not need the image recognition that its package also requires.
origin=requirements/interop.in
compile interop.txt requirements/interop.in --no-deps --constraints requirements/dev.txt
