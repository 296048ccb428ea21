"""Films, rendered pages, the picture, and what is replaced."""

import json

import pytest

from unblind import folders
from unblind.errors import UnblindError
from unblind.report.differences import Difference, Paired
from unblind.report.summary import Share
from unblind.site import films, pages, picture
from unblind.site.build import MARKER, check
from unblind.site.records import is_inside

TOLD = {"condition": "carrot", "episode_id": 5, "instruction": "put", "attention": False}
TOLD |= {"runs": [{"run": "align", "label": "Align", "seed": 0, "success": True}]}


# ---- films ----------------------------------------------------------------------------------


def film(results, name, told=TOLD):
    folder = results / "films"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.mp4").write_bytes(b"film")
    if told is not None:
        text = told if isinstance(told, str) else json.dumps(told)
        (folder / f"{name}.json").write_text(text)
    return folder / f"{name}.mp4"


def test_a_film_tells_who_succeeds(tmp_path):
    film(tmp_path, "one")
    ((one,), problems) = films.read(tmp_path)
    assert one.said == "Align succeeds" and one.told.column == "Carrot" and not problems


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (None, "nothing tells what it shows"),
        ("{", "Invalid JSON"),
        (TOLD | {"attention": "no"}, "attention: "),
        ({"condition": "carrot"}, "Field required"),
    ],
)
def test_a_film_without_a_description_is_left_out_and_named(tmp_path, told, why):
    film(tmp_path, "bad", told)
    film(tmp_path, "good")
    listed, problems = films.read(tmp_path)
    assert [one.path.stem for one in listed] == ["good"]
    assert len(problems) == 1 and why in problems[0].problem


def test_a_film_that_lies_elsewhere_is_left_out(tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    path = film(results, "good")
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"mine")
    path.unlink()
    path.symlink_to(secret)
    listed, problems = films.read(results)
    assert not listed and "leads out" in problems[0].problem
    assert is_inside(secret, tmp_path) and not is_inside(path, results)


# ---- rendered pages --------------------------------------------------------------------------


def test_markdown_becomes_html_that_holds_no_html_of_its_own():
    text = "# A <b>page</b>\n\n| a | b |\n|:--|--:|\n| 1 | <script>x</script> |\n"
    said = pages.html(text, {})
    assert "<h1>A &lt;b&gt;page&lt;/b&gt;</h1>" in said
    assert '<td class="right">&lt;script&gt;x&lt;/script&gt;</td>' in said
    assert "style=" not in said and 'class="scroll"' in said


def test_links_lead_to_pages_of_the_site_and_nowhere_else():
    told = pages.addresses(["table3.md"], ["figure4.png"])
    text = "[T](table3.md) [A](audit.md) [out](https://x.org) [js](javascript:1) <https://y.org>"
    said = pages.html(text, told)
    assert said.count("<a ") == 2 and said.count("</a>") == 2
    assert 'href="table3.html"' in said and 'href="../audit.html"' in said
    assert "out" in said and "https://x.org" not in said
    said = pages.html("![Figure 4](figure4.png) ![Gone](gone.png)", told)
    assert 'src="../figures/figure4.png" alt="Figure 4"' in said and said.count("<img") == 1
    assert "Gone" in said


# ---- the picture -----------------------------------------------------------------------------


def test_the_picture_is_as_long_to_either_side_of_no_difference():
    share = Share(0.0, 0.0, 0.0, 4)
    pair = Paired(0.1, -0.1, 0.3, 0.0, 4, 1, 0, share)
    groups = {"all 13": pair, "in-distribution": pair}
    drawn = picture.draw(Difference("a - b", "A", "B", groups, {}, {}, {}, {"all 13": 0.2}))
    assert [mark.group for mark in drawn.marks] == ["in-distribution", "all 13"]
    own, every = drawn.marks
    middle = (picture.LEFT + picture.WIDTH - picture.RIGHT) / 2
    assert drawn.zero == pytest.approx(middle)
    # Points lie evenly: 30 to the right at the end of the axis, which reaches 30 points.
    assert every.high == pytest.approx(picture.WIDTH - picture.RIGHT)
    assert every.at - drawn.zero == pytest.approx(drawn.zero - every.low, abs=0.2)
    assert every.paper == pytest.approx((every.at + every.high) / 2, abs=0.2)
    assert own.paper is None and own.y < every.y


# ---- what is replaced ------------------------------------------------------------------------


def marked(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("x")
    told = {"made_by": "unblind site", "files": dict.fromkeys(names, "")}
    (folder / MARKER).write_text(json.dumps(told))
    return folder


def test_only_a_site_is_replaced(tmp_path):
    check(marked(tmp_path / "site", "index.html"))
    (tmp_path / "site" / "mine.txt").write_text("mine")
    with pytest.raises(UnblindError, match=r"holds mine.txt"):
        check(tmp_path / "site")
    other = tmp_path / "other"
    other.mkdir()
    (other / MARKER).write_text('{"made_by": "somebody"}')
    with pytest.raises(UnblindError, match="is no site"):
        check(other)


def test_the_old_folder_stays_until_the_new_one_is_whole(tmp_path):
    site = marked(tmp_path / "site", "old")
    with pytest.raises(RuntimeError), folders.replaced(site, check) as new:
        (new / "half").write_text("x")
        assert (site / "old").is_file()
        raise RuntimeError
    assert sorted(path.name for path in tmp_path.rglob("*")) == [MARKER, "old", "site"]
    with folders.replaced(site, check) as new:
        (new / "whole").write_text("x")
    assert [path.name for path in tmp_path.rglob("*")] == ["site", "whole"]


def test_what_is_put_there_meanwhile_is_kept(tmp_path):
    site = marked(tmp_path / "site", "old")
    with pytest.raises(UnblindError, match="holds mine"), folders.replaced(site, check) as new:
        (new / "whole").write_text("x")
        (site / "mine").write_text("x")
    assert (site / "mine").is_file() and (site / "old").is_file()


def test_links_and_files_are_not_replaced(tmp_path):
    marked(tmp_path / "site")
    (tmp_path / "link").symlink_to(tmp_path / "site")
    (tmp_path / "file").write_text("x")
    for name, why in (("link", "is a link|already holds"), ("file", "already holds")):
        with pytest.raises(UnblindError, match=why), folders.replaced(tmp_path / name, check):
            raise AssertionError
