#!/bin/sh
# Chromium and its driver for the tests of HTML pages, from Debian. Never fails: without a browser
# those tests are skipped and say so.
set -u
. "${0%/*}/debian.sh"

found() { command -v chromium && command -v chromedriver; }
want Chromium "the tests of HTML pages are skipped" "chromium chromium-driver" || exit 0
