import os
import shutil
import subprocess
from pathlib import Path

import pytest

from unblind.errors import UnblindError
from unblind.paper import latex

SCRIPT = Path(__file__).parents[2] / "scripts" / "tex.sh"
needs_tex = pytest.mark.skipif(not latex.is_there(), reason="no TeX here: sh scripts/tex.sh")
LOG = r"""(./main.tex
Overfull \hbox (4.9pt too wide) in paragraph at lines 1--2
[]\T1/lmr/m/n/10 narrow enough
Overfull \hbox (31.62437pt too wide) in alignment at lines 377--383
 [] [] []
Underfull \hbox (badness 10000) in paragraph at lines 5--6
Overfull \vbox (215.9pt too high) has occurred while \output is active []
"""


def document(body):
    return f"\\documentclass{{article}}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"


def test_boxes_that_stick_out_too_far_are_named():
    assert list(latex.overfull(LOG)) == [
        "Overfull \\hbox (31.62437pt too wide) in alignment at lines 377--383: [] [] []",
        "Overfull \\vbox (215.9pt too high) has occurred while \\output is active []",
    ]
    assert len(list(latex.overfull(LOG, most=4))) == 3
    assert list(latex.overfull("")) == []


def test_the_first_error_is_told_with_its_place():
    log = "text\n! Undefined control sequence.\nl.3 \\nothing\n\n            here\n! Second.\n"
    assert latex.first_error(log) == "! Undefined control sequence. / l.3 \\nothing / here"
    assert "without naming" in latex.first_error("all is well")


def test_without_tex_the_remedy_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnblindError, match=r"no TeX.*scripts/tex\.sh"):
        latex.compile_pdf(document("text"), {}, 0)


def test_the_script_says_what_is_lacking_and_fails(tmp_path):
    for name in ("id", "sh"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        ["/bin/sh", SCRIPT], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "no TeX: the report cannot be made" in line and "texlive-latex-recommended" in line


@needs_tex
def test_the_same_document_gives_the_same_bytes():
    made = latex.compile_pdf(document("text, \\today"), {}, 86400)
    assert made.startswith(b"%PDF-")
    plain = document("\\pdftrailerid{x}text, \\today")
    assert latex.compile_pdf(plain, {}, 86400) == latex.compile_pdf(plain, {}, 86400)
    assert latex.compile_pdf(plain, {}, 86400) != latex.compile_pdf(plain, {}, 10 * 86400)


@needs_tex
def test_an_error_is_one_line_with_its_place():
    with pytest.raises(UnblindError, match=r"TeX: ! Undefined control sequence.*l\.3.*nothing"):
        latex.compile_pdf(document(r"\nothing"), {}, 0)
    with pytest.raises(UnblindError, match=r"TeX: ! LaTeX Error: File `absent\.tex' not found"):
        latex.compile_pdf(document(r"\input{absent}"), {}, 0)


@needs_tex
def test_a_box_that_is_too_wide_fails():
    wide = document(r"\noindent\rule{\textwidth}{1pt}\rule{6pt}{1pt}")
    with pytest.raises(UnblindError, match=r"does not fit its page: Overfull \\hbox \(6"):
        latex.compile_pdf(wide, {}, 0)
    latex.compile_pdf(wide.replace("6pt", "4pt"), {}, 0)


@needs_tex
def test_tex_starts_no_program_and_reaches_no_other_folder(tmp_path):
    secret, target = tmp_path / "secret.tex", tmp_path / "written.tex"
    secret.write_text("secret")
    attempts = [
        rf"\immediate\write18{{touch {target}}}text",
        rf"\newwrite\file\immediate\openout\file={target}\immediate\write\file{{x}}text",
        rf"\input{{{secret}}}",
    ]
    for number, attempt in enumerate(attempts):
        try:
            latex.compile_pdf(document(attempt), {}, 0)
        except UnblindError:
            assert number > 0
        else:
            assert number < 2
    assert not target.exists()


@needs_tex
def test_files_are_there_by_their_names(tmp_path):
    other = tmp_path / "somewhere.tex"
    other.write_text("more text")
    assert latex.compile_pdf(document(r"\input{part}"), {"part.tex": other}, 0)


@needs_tex
def test_the_users_own_settings_of_tex_do_not_count(tmp_path, monkeypatch):
    (tmp_path / "article.cls").write_text("nonsense")
    monkeypatch.setenv("TEXINPUTS", f"{tmp_path}:")
    assert latex.compile_pdf(document("text"), {}, 0)
    assert os.environ["TEXINPUTS"]
