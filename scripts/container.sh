#!/bin/sh
# The container's recipe without a container engine: its steps are carried out in a bare Debian
# that debootstrap makes in a temporary folder, from the mirror that this machine's apt uses. Then a
# command runs there, without network and as the image would run it. Needs root, on Debian.
#
#   sh scripts/container.sh                   # the steps, then the recipe's own command
#   sh scripts/container.sh make test         # the steps, then this command
#   sh scripts/container.sh --steps           # only print the steps, as anybody
#
#   UNBLIND_KEEP=1           leave the folder, and say where it is
#   UNBLIND_BARE_ROOT=DIR    a bare Debian made earlier, copied instead of made anew
#   PIP_INDEX_URL            handed to the steps, as with --build-arg
#
# What is copied is the newest commit. Mounts are in a namespace of their own, which ends with the
# script; processes in the root end with it, too.
set -eu
cd "$(dirname "$0")/.."
recipe=container/Containerfile

say() { printf 'unblind: %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# The recipe, one instruction a line: comments dropped, continued lines joined, blanks single.
steps() {
    sed '/^#/d' $recipe | sed -e ':a' -e '/\\$/N; s/\\\n/ /; ta' |
        sed -e 's/[[:space:]][[:space:]]*/ /g' -e '/^ *$/d'
}

suite() {
    case "$(steps | sed -n 's/^FROM //p')" in
        debian:12 | debian:12-slim) echo bookworm ;;
        *) fail "$recipe starts from something else than Debian 12: teach $0 its suite" ;;
    esac
}

# Of the archives that apt reads here, the one that has the suite.
mirror() {
    apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(SITE)' 2>/dev/null |
        sed -n "s/^$1 main //p" | head -n 1
}

check() {
    [ "$(id -u)" = 0 ] || fail "a bare root needs root: run it as root, or build with podman"
    for tool in debootstrap unshare git ip; do
        command -v $tool >/dev/null || fail "$tool is missing: as root, apt-get install debootstrap git iproute2 util-linux"
    done
    unshare --mount --pid --fork true 2>/dev/null ||
        fail "this machine allows no namespaces: run it outside of a container, or build with podman"
}

make_root() {
    if [ -n "${UNBLIND_BARE_ROOT:-}" ]; then
        [ -x "$UNBLIND_BARE_ROOT/bin/sh" ] || fail "UNBLIND_BARE_ROOT=$UNBLIND_BARE_ROOT is no root"
        cp -a -- "$UNBLIND_BARE_ROOT/." "$root/"
        return
    fi
    from=$(mirror "$(suite)")
    [ -n "$from" ] || fail "apt reads no archive of $(suite) here: see /etc/apt, run apt-get update"
    say "making a bare Debian $(suite) (1 to 10 minutes)"
    debootstrap --variant=minbase "$(suite)" "$root" "$from" >"$work/debootstrap.log" 2>&1 ||
        { tail -n 3 "$work/debootstrap.log" >&2; fail "debootstrap failed"; }
}

# Run a command in a folder of the root, with the variables that the recipe has set.
inside() {
    folder=$1
    shift
    $network env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        DEBIAN_FRONTEND=noninteractive $variables \
        chroot "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$folder" "$@"
}
online() { "$@"; }
offline() { unshare --net sh -c 'ip link set lo up && exec "$@"' offline "$@"; }

# One instruction. ARG takes its value from this script's own environment.
carry_out() {
    say "$1 $2"
    case "$1" in
        FROM) ;;
        RUN) inside "$folder_inside" /bin/sh -c "$2" ;;
        WORKDIR) folder_inside=$2 && mkdir -p "$root$2" ;;
        ENV) variables="$variables $2" ;;
        ARG) value=$(printenv "$2" || :) && variables="$variables ${value:+$2=$value}" ;;
        COPY) [ "$2" = ". ." ] || fail "COPY $2: only '. .' is known here"
            git clone --quiet --no-hardlinks . "$root$folder_inside" ;;
        CMD) default=$2 ;;
        *) fail "$recipe: $1 is not known here" ;;
    esac
}

mount_it() {
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mkdir -p "$root/dev/shm"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    # Names and certificates as this machine has them.
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    if ls /usr/local/share/ca-certificates/*.crt >/dev/null 2>&1; then
        mkdir -p "$root/usr/local/share/ca-certificates"
        cp -L /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
    fi
}

# Within the namespaces: all steps, then the command.
build_and_run() {
    folder_inside=/ variables='' default='' network=online
    mount_it
    steps >"$work/steps"
    while read -r word text; do
        carry_out "$word" "$text" </dev/null || fail "$word failed: see the lines above"
    done <"$work/steps"
    if [ $# = 0 ]; then # the recipe's own: a list of quoted words
        eval "set -- $(printf '%s' "$default" | tr -d '[]' | tr ',' ' ')"
    fi
    say "without network: $*"
    network=offline
    inside "$folder_inside" "$@"
}

finish() {
    case "$work" in
        */unblind-container.??????) ;;
        *) return ;;
    esac
    if [ -n "${UNBLIND_KEEP:-}" ]; then
        say "left in $root"
    else
        rm -rf --one-file-system -- "$work"
    fi
}

case "${1:-}" in
    --steps)
        steps
        exit
        ;;
    --within) # how this script calls itself
        work=$2 root=$2/root
        shift 2
        build_and_run "$@"
        exit
        ;;
esac
check
work=$(mktemp -d "${TMPDIR:-/tmp}/unblind-container.XXXXXX")
root=$work/root
trap finish EXIT
trap 'exit 130' INT TERM HUP
mkdir "$root"
make_root
unshare --mount --pid --fork --kill-child sh scripts/container.sh --within "$work" "$@"
