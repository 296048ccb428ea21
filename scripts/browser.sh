#!/bin/sh
# Chromium and its driver for the tests of the audit page, from Debian. Never fails: without a
# browser those tests are skipped and say so.
set -u

say() { printf 'unblind: %s\n' "$*" >&2; }
found() { command -v chromium >/dev/null && command -v chromedriver >/dev/null; }
if found; then exit 0; fi

packages="chromium chromium-driver"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "no Chromium: the tests of the audit page are skipped (Debian, as root: apt-get install $packages)"
    exit 0
fi

say "installing $packages for the tests of the audit page"
install() { DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $packages; }
{ install || { apt-get -qq update && install; }; } >/dev/null 2>&1
found || say "$packages could not be installed: the tests of the audit page are skipped"
