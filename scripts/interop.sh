#!/usr/bin/env bash
# Runs the tests of interop/: foreign clients and servers against a simulated door. Arguments go to pytest.
# The foreign programs live in an environment of their own and see nothing of Portero but its sockets.
set -euo pipefail

root=$(CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
cd -- "$root"
unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_USER=0

venv=$root/build/interop-venv
locks=(requirements/build.txt requirements/interop.txt)
[[ -x .venv/bin/portero ]] || { echo 'interop: first: scripts/setup.sh dev' >&2; exit 1; }

# Of this place, this Python and these locks; else it is made anew, which takes seconds.
wanted=$({ echo "$venv"; .venv/bin/python -VV; sha256sum -- "${locks[@]}"; } | sha256sum)
if [[ $(cat -- "$venv/.wanted" 2>/dev/null) != "$wanted" ]]; then
    echo 'interop: installing the foreign programs into build/interop-venv'
    rm -rf -- "$venv"
    .venv/bin/python -m venv "$venv"
    for lock in "${locks[@]}"; do
        "$venv/bin/python" -m pip install -qq --no-deps --no-build-isolation --use-pep517 \
            --require-hashes --requirement "$lock"
    done
    echo "$wanted" >"$venv/.wanted"
fi

# Programs in JavaScript, where there is a Node.js for them; without one their tests skip themselves.
if command -v npm >/dev/null; then
    wanted=$({ echo "$root"; node --version; sha256sum interop/package-lock.json; } | sha256sum)
    if [[ $(cat -- interop/node_modules/.wanted 2>/dev/null) != "$wanted" ]]; then
        echo 'interop: installing the foreign programs into interop/node_modules'
        npm ci --prefix interop --ignore-scripts --no-audit --no-fund --loglevel=error
        echo "$wanted" >interop/node_modules/.wanted
    fi
else
    echo 'interop: no Node.js on this machine, so the clients that need it are left out'
fi

export PORTERO="$root/.venv/bin/portero"
exec "$venv/bin/python" -m pytest -c interop/pytest.ini --rootdir interop interop "$@"
