#!/bin/sh
# SLURM and munge for the tests of the cluster profiles, from Debian; the tests start and stop their
# daemons. Ends with 1 if they could be had but could not be installed, else with 0: without SLURM
# those tests are skipped and say so.
set -u

say() { printf 'unblind: %s\n' "$*" >&2; }
found() { PATH=$PATH:/usr/sbin && command -v slurmctld && command -v slurmd && command -v munged; }
if found >/dev/null; then exit 0; fi

packages="slurm-wlm munge"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "no SLURM: its tests are skipped (Debian, as root: apt-get install $packages)"
    exit 0
fi

say "installing $packages for the tests of the cluster profiles"
install() { DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $packages; }
{ install || { apt-get -qq update && install; }; } >/dev/null 2>&1
if found >/dev/null; then exit 0; fi
if apt-cache show slurm-wlm >/dev/null 2>&1; then
    say "$packages could not be installed: see apt-get install $packages"
    exit 1
fi
say "this system offers no slurm-wlm: its tests are skipped"
