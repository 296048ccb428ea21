#!/bin/sh
# Make .venv ready: every Python package at its locked version, this package, and the renderer.
# Does nothing when that is done already (a fraction of a second). Needs Python 3.11 and a network.
#
#   UNBLIND_PYTHON   interpreter to build the environment from; by default python3.11 or python3
set -eu
unset PYTHONPATH PYTHONHOME  # packages from elsewhere must not count as installed
cd "$(dirname "$0")/.."

UV_VERSION=0.13.8
venv=.venv
stamp=$venv/setup.stamp
log=$venv/setup.log

# uv keeps a cache in the home folder; a user without one gets it here.
[ -w "${HOME:-/}" ] || export UV_CACHE_DIR="${UV_CACHE_DIR:-$PWD/.cache/uv}"

say() { printf 'unblind: %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# What the environment depends on; its scripts carry the path of the checkout in their first lines.
here=$(pwd -P)
key=$(cat requirements.in requirements.lock pyproject.toml scripts/setup.sh | sha256sum)
key="${key%% *} $here"
is_done() { [ -f $stamp ] && [ "$(cat $stamp)" = "$key" ]; }
if is_done; then exit 0; fi

# Two commands at once: the second waits for the first one's set-up. The lock ends with its process.
mkdir -p .cache
exec 9>.cache/setup.lock
flock 9
if is_done; then exit 0; fi

is_python311() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; }

find_python() {
    if [ -n "${UNBLIND_PYTHON:-}" ]; then
        is_python311 "$UNBLIND_PYTHON" || fail "UNBLIND_PYTHON=$UNBLIND_PYTHON is no Python 3.11"
        python=$UNBLIND_PYTHON
        return
    fi
    for python in python3.11 python3 /usr/bin/python3; do
        if is_python311 "$python"; then return; fi
    done
    fail "Python 3.11 not found: install it, or name it with UNBLIND_PYTHON=/path/to/python3.11"
}

# Debian keeps the module that makes virtual environments in a package of its own.
need_venv_module() {
    if "$python" -c 'import venv, ensurepip; ensurepip.version' 2>/dev/null; then return; fi
    [ "$(id -u)" = 0 ] || fail "python3-venv is missing: as root, apt-get install python3-venv"
    say "installing python3-venv"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install -y --no-install-recommends python3-venv; } >/dev/null 2>&1 ||
        fail "python3-venv could not be installed: check the network and the mirror in /etc/apt"
}

make_venv() {
    if grep -qsxF "$here" $venv/setup.path && $venv/bin/python -m pip --version >/dev/null 2>&1; then
        return # ours and whole, e.g. after an interrupted set-up
    fi
    # Creating one empties what is there, which another checkout may use.
    [ ! -L $venv ] || fail "$venv is a link to $(readlink $venv), which is not this checkout's: remove the link"
    say "creating $venv"
    "$python" -m venv --clear $venv || fail "$python cannot create $venv here: see the lines above"
    printf '%s\n' "$here" >$venv/setup.path
}

# Run one step of the installation; its output goes to the log, the cause of a failure to the user.
step() {
    what=$1
    shift
    say "$what"
    if "$@" >>$log 2>&1; then return; fi
    if grep -qE 'NewConnectionError|ConnectTimeout|ProxyError|resolution|timed out' $log; then
        fail "$what failed: no network, or the package index cannot be reached (details: $log)"
    fi
    cause=$(grep -iE 'error|no space' $log | tail -n 1)
    fail "$what failed: ${cause:-unknown} (run the same command again; details: $log)"
}

# uv is several times faster than pip, but does not read pip's configuration: hand it the mirror, if
# there is one, and let it trust the certificates that the system trusts.
with_uv() {
    index=$($venv/bin/python -m pip config list |
        sed -n "s/^\(global\|:env:\)\.index-url='\(.*\)'\$/\2/p" | tail -n 1)
    env ${index:+"UV_DEFAULT_INDEX=$index"} $venv/bin/uv pip install --system-certs \
        --python $venv/bin/python --no-deps --require-hashes -r requirements.lock
}

install_lock() {
    say "installing the locked packages (1 to 6 minutes)"
    if $venv/bin/python -m pip install -q "uv==$UV_VERSION" >>$log 2>&1 &&
        with_uv >>$log 2>&1; then return; fi
    step "installing the locked packages with pip" \
        $venv/bin/python -m pip install --no-deps --require-hashes -r requirements.lock
}

find_python
need_venv_module
make_venv
rm -f $stamp
: >$log
# torch stands apart from the lock: which build fits (CPU, CUDA) depends on the machine and its
# package index. It comes first, so that nothing else decides it.
torch=$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements.in)
step "installing $torch" $venv/bin/python -m pip install "$torch"
install_lock
step "installing this package" \
    $venv/bin/python -m pip install --no-deps --no-build-isolation -e .
$venv/bin/python -m unblind.machine.renderer >&2
printf '%s' "$key" >$stamp.new
mv $stamp.new $stamp
say "ready"
