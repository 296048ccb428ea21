# Read by the scripts beside it: packages of Debian, installed when something is missing.

say() { printf 'unblind: %s\n' "$*" >&2; }

# Whether packages can be installed here.
can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# want WHAT CONSEQUENCE PACKAGES: install them unless the caller's found() is true; end with whether
# it is in the end. CONSEQUENCE tells what there is not without them.
want() {
    if found >/dev/null; then return 0; fi
    if ! can_install; then
        say "no $1: $2 (Debian, as root: apt-get install $3)"
        return 1
    fi
    say "installing $3"
    { _install "$3" || { apt-get -qq update && _install "$3"; }; } >/dev/null 2>&1
    found >/dev/null || { say "$3 could not be installed: $2"; return 1; }
}

_install() { DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $1; }
