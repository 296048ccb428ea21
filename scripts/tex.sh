#!/bin/sh
# TeX for the report (make paper), from Debian. Fails if there is none in the end.
set -u

say() { printf 'unblind: %s\n' "$*" >&2; }
found() {
    command -v pdflatex >/dev/null && command -v kpsewhich >/dev/null &&
        for file in tikz.sty booktabs.sty lmodern.sty microtype.sty; do
            kpsewhich "$file" >/dev/null || return 1
        done
}
if found; then exit 0; fi

packages="texlive-latex-recommended texlive-pictures lmodern"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "no TeX: the report cannot be made (Debian, as root: apt-get install $packages)"
    exit 1
fi

say "installing $packages for the report"
install() { DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $packages; }
{ install || { apt-get -qq update && install; }; } >/dev/null 2>&1
found || { say "$packages could not be installed: the report cannot be made"; exit 1; }
