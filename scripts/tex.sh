#!/bin/sh
# TeX for the report (make paper), from Debian. Fails if there is none in the end.
set -u
. "${0%/*}/debian.sh"

found() {
    command -v pdflatex && command -v kpsewhich &&
        for file in tikz.sty booktabs.sty lmodern.sty microtype.sty; do
            kpsewhich "$file" || return 1
        done
}
want TeX "the report cannot be made" "texlive-latex-recommended texlive-pictures lmodern"
