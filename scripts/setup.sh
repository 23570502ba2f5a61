#!/usr/bin/env bash
# Makes this checkout ready to use: scripts/setup.sh run | dev
#
#   run   what `portero` needs          dev   and what its tests and checks need
#
# Does only what is not done yet, and says each thing it does. Packages of the system come through apt, and only
# those whose purpose is really not met; everything else stays inside .venv. PYTHON=/path/to/python3 chooses the Python.
set -euo pipefail

root=$(CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
[[ ${PYTHON:-} != ?*/* ]] || PYTHON=$(CDPATH="" cd -- "${PYTHON%/*}" && pwd)/${PYTHON##*/}
cd -- "$root"
# Settings of the caller's own Python work must not leak into ours.
unset PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIREMENT PIP_CONSTRAINT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_USER=0

venv=$root/.venv
stamps=$venv/.portero
log=$root/build/setup.log
model_file=${PORTERO_MODEL_FILE:-/proc/device-tree/model}

# ---- what is needed of the system: package | how it is noticed that it is missing | what it is for ----------------
# `python3` at a name's start stands for the chosen Python: python3-venv becomes python3.12-venv for a python3.12.
needs() {
    cat <<'LIST'
python3        | has_python   | runs Portero (3.11 or later)
python3-venv   | has_venv     | keeps Portero's libraries apart from the system's
python3-dev    | has_headers  | compiles the voice codec's binding
gcc            | has_compiler | compiles the voice codec's binding
libc6-dev      | has_compiler | compiles the voice codec's binding
make           | has_make     | builds and checks the C code
pkg-config     | has_pkgconf  | finds libopus
libopus-dev    | has_opus     | the voice codec
libasound2-dev | has_alsa     | compiles pyalsaaudio, the access to sound cards
LIST
    # No ready-made lgpio for the newest Pythons: its own C code is compiled, which takes SWIG.
    if on_a_pi && ! has_lgpio_wheel; then
        echo 'swig           | has_swig     | compiles lgpio, the access to the GPIO pins'
    fi
}

has_python() { [[ -n $python ]]; }
has_venv() { has_python && "$python" -I -c 'import venv, ensurepip, ssl, sqlite3' 2>/dev/null; }
has_headers() {
    has_python && "$python" -I -c '
import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}
has_compiler() { compiles <<<'#include <stdlib.h>'; }
has_make() { make --version >/dev/null 2>&1; }
has_pkgconf() { pkg-config --version >/dev/null 2>&1; }
has_opus() {
    has_pkgconf && has_compiler && pkg-config --exists opus || return 1
    local flags
    read -ra flags < <(pkg-config --cflags --libs opus)
    compiles "${flags[@]}" <<<'#include <opus.h>'
}
has_alsa() { has_compiler && compiles -lasound <<<'#include <alsa/asoundlib.h>'; }
has_swig() { swig -version >/dev/null 2>&1; }
has_lgpio_wheel() { has_python && "$python" -I -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; }

compiles() { # compiles FLAG...: the lines on standard input make a shared library
    local scratch status=0
    scratch=$(mktemp -d)
    { cat; echo 'int portero_probe(void) { return 0; }'; } |
        "${CC:-cc}" -x c -shared -fPIC -o "$scratch/probe.so" - "$@" >/dev/null 2>&1 || status=1
    rm -rf -- "$scratch"
    return "$status"
}

on_a_pi() {
    case $(uname -m) in aarch64 | armv*) ;; *) [[ -n ${PORTERO_MODEL_FILE:-} ]] || return 1 ;; esac
    [[ -r $model_file ]] && grep -qa 'Raspberry Pi' "$model_file"
}

# ---- telling ------------------------------------------------------------------------------------------------------
said=
say() {
    said=1
    echo "setup: $*"
}
die() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}
logged() { # logged WHAT_TO_DO COMMAND...: quiet when it works, the log's end and the advice when not
    local advice=$1
    shift
    mkdir -p -- "${log%/*}"
    if ! "$@" </dev/null >"$log" 2>&1 9<&-; then
        echo "setup: this failed: $*" >&2
        tail -n 25 -- "$log" | sed 's/^/    /' >&2
        die "the whole log is $log" "$advice"
    fi
}

# ---- the system ---------------------------------------------------------------------------------------------------
python=

# The first Python that is new enough and can make environments and extensions; failing that, Debian's own, whose missing
# halves apt can bring. sys._base_executable looks through an active virtual environment, and through pyenv's shims.
find_python() {
    local candidate base debians=
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        base=$("$candidate" -I -c '
import sys
if sys.version_info < (3, 11) or sys.implementation.name != "cpython":
    sys.exit(1)
print(getattr(sys, "_base_executable", None) or sys.executable)' 2>/dev/null </dev/null) || {
            [[ $candidate != "${PYTHON:-}" ]] || die "PYTHON=$PYTHON is no CPython 3.11 or later"
            continue
        }
        python=$base
        if [[ -n ${PYTHON:-} ]] || { has_venv && has_headers; }; then
            return
        fi
        [[ $base != /usr/bin/* ]] || debians=${debians:-$base}
    done
    python=$debians
}

missing_packages() { # one "package | reason" a line
    local package test reason prefix=python3
    [[ $python != /usr/bin/python3* ]] || prefix=${python##*/}
    while IFS='|' read -r package test reason; do
        read -r package <<<"$package"
        read -r test <<<"$test"
        "$test" || printf '%-16s|%s\n' "${package/#python3-/$prefix-} " "$reason"
    done < <(needs)
}

apt_get() {
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 "$@"
}
apt_install() { # an old package list is no reason to fail: fetch a new one and try again
    apt_get install --no-install-recommends "$@" ||
        { apt_get update && apt_get install --no-install-recommends "$@"; }
}

ensure_system() {
    local missing packages sudo=()
    missing=$(missing_packages)
    [[ -n $missing ]] || return 0
    mapfile -t packages < <(cut -d' ' -f1 <<<"$missing" | sort -u)
    say 'missing on this system:'
    printf '         %s\n' "${missing//$'\n'/$'\n         '}"
    local by_hand="install by hand and run this again: apt-get install ${packages[*]}"
    command -v apt-get >/dev/null ||
        die "this system has no apt; install what the packages above are for, then run this again" \
            "(their names on Debian: ${packages[*]})"
    if [[ $(id -u) != 0 ]]; then
        # Without a terminal nobody could type the password.
        if ! command -v sudo >/dev/null || { [[ ! -t 0 ]] && ! sudo -n true 2>/dev/null; }; then
            die "no right to install packages here; as root: apt-get install ${packages[*]}"
        fi
        sudo=(sudo)
        say "sudo apt-get install ${packages[*]}"
        # sudo -v would ask for a password even where none is needed (Raspberry Pi OS, cloud images).
        sudo -n true 2>/dev/null || sudo -v || die "as root: apt-get install ${packages[*]}"
    else
        say "apt-get install ${packages[*]}"
    fi
    logged "$by_hand" apt_install "${packages[@]}"
    has_python || find_python
    has_python || die "Python 3.11 or later is needed; Debian 12 and Raspberry Pi OS \"bookworm\" have it," \
        "on an older system set PYTHON to one"
    missing=$(missing_packages)
    [[ -z $missing ]] || die "still missing after the installation:" "$missing" "$by_hand"
}

# ---- the virtual environment --------------------------------------------------------------------------------------
# An environment knows its own place and its Python's version: one that was copied, moved, or left behind by an upgrade
# of the system's Python is of no use.
venv_is_sound() {
    local version home
    version=$("$venv/bin/python" -I -c 'import sys
print("%d.%d" % sys.version_info[:2] if sys.version_info >= (3, 11) else "old")' 2>/dev/null) || return 1
    grep -qE "^version(_info)? = ${version/./\\.}\\." "$venv/pyvenv.cfg" || return 1
    if [[ -f $stamps/place ]]; then
        [[ $(<"$stamps/place") == "$venv" ]] || return 1
    else
        grep -qF -- "$venv" "$venv/bin/activate" 2>/dev/null || return 1
    fi
    if [[ -n ${PYTHON:-} ]]; then # asked for by name: only an environment of that very Python will do
        home=$("$venv/bin/python" -I -c 'import os, sys; print(os.path.realpath(sys._base_executable))')
        [[ $home == "$("$PYTHON" -I -c 'import os, sys
print(os.path.realpath(sys._base_executable))' 2>/dev/null)" ]] || return 1
    fi
}

ensure_venv() {
    if venv_is_sound; then return; fi
    [[ ! -e $venv ]] || say "rebuilding .venv (moved, or made by another Python)"
    rm -rf -- "$venv"
    say "$("$python" -V 2>&1) ($python) -> .venv"
    logged "remove .venv and run this again" "$python" -m venv "$venv"
    mkdir -p -- "$stamps"
    printf '%s\n' "$venv" >"$stamps/place"
}

stamp() { # stamp NAME: the hash that was written when the step was last finished
    cat -- "$stamps/$1" 2>/dev/null || true
}

fingerprint() { # fingerprint FILE...: of names and contents, and of the kind of machine
    { uname -m; sha256sum -- "$@"; } | sha256sum | cut -d' ' -f1
}

# What was once set up for development stays so: `make run` after `make test` has nothing to do.
locks() {
    local mode=$1
    [[ ! -e $stamps/dev ]] || mode=dev
    echo requirements/build.txt
    [[ $mode == dev ]] && echo requirements/dev.txt || echo requirements/runtime.txt
    ! on_a_pi || echo requirements/pi.txt
}

libraries_wanted() {
    local files
    mapfile -t files < <(locks "$1")
    fingerprint "${files[@]}"
}

ensure_libraries() {
    local files file count args=()
    [[ $(stamp libraries) != "$(libraries_wanted "$1")" ]] || return 0
    mapfile -t files < <(locks "$1")
    for file in "${files[@]}"; do args+=(--requirement "$file"); done
    count=$(cat -- "${files[@]}" | grep -o '^[^ #]*==' | sort -u | wc -l)
    say "installing $count locked packages into .venv"
    local advice="is this computer online? run this again: it goes on where it stopped"
    [[ $(uname -m) == aarch64 || $(uname -m) == x86_64 ]] ||
        advice="the locked packages are ready-made for 64-bit systems only; $advice"
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 ||
        logged "remove .venv and run this again" "$venv/bin/python" -m ensurepip
    # The build tools come first and by themselves, for what has to be compiled: a build of its own choosing of tools
    # would fetch them without a hash. PYPI=1 makes lgpio bring its C library along instead of looking for one.
    logged "$advice" "$venv/bin/python" -m pip install --quiet --require-hashes --requirement requirements/build.txt
    PYPI=1 logged "$advice" "$venv/bin/python" -m pip install --quiet --require-hashes \
        --no-build-isolation --use-pep517 "${args[@]}"
    [[ $1 != dev ]] || : >"$stamps/dev"
    libraries_wanted "$1" >"$stamps/libraries"
}

sources() {
    printf '%s\n' pyproject.toml setup.py native/build_voice.py native/voice.cdef.h
    find native/include native/src -name '*.[ch]' | LC_ALL=C sort
}

project_wanted() {
    local files
    mapfile -t files < <(sources)
    fingerprint "${files[@]}"
}

project_is_built() {
    [[ $(stamp project) == "$(project_wanted)" && -x $venv/bin/portero ]] &&
        compgen -G 'native/_voice*.so' >/dev/null
}

ensure_project() {
    if project_is_built; then return; fi
    say "building Portero (editable: changes to the Python code need no rebuild)"
    logged "see CONTRIBUTING.md, or report the log" "$venv/bin/python" -m pip install --quiet \
        --no-build-isolation --no-deps --editable .
    # Compiled now, the door's first start is not four times as slow as the others. A convenience: may fail.
    "$venv/bin/python" -m compileall -q agent hw native >>"$log" 2>&1 || true
    project_wanted >"$stamps/project"
}

# ---- main ---------------------------------------------------------------------------------------------------------
mode=${1:-run}
[[ $# -le 1 && ($mode == run || $mode == dev) ]] || die "usage: scripts/setup.sh run | dev"

# Two at once (make -j run test) take turns; the second finds everything done.
exec 9<pyproject.toml
! command -v flock >/dev/null || flock 9

[[ ! -e $venv || -w $venv ]] ||
    die ".venv belongs to $(stat -c %U "$venv"): work as that user, or give it back: sudo chown -R $(id -un) .venv build"

if venv_is_sound && [[ $(stamp libraries) == "$(libraries_wanted "$mode")" ]] && project_is_built &&
    [[ $mode == run || -e $stamps/dev ]]; then
    exit 0
fi

began=$SECONDS
find_python
ensure_system
ensure_venv
mkdir -p -- "$stamps"
[[ -f $stamps/place ]] || printf '%s\n' "$venv" >"$stamps/place"
ensure_libraries "$mode"
ensure_project
[[ -z $said ]] || say "ready after $((SECONDS - began)) s"
