"""CITATION.cff: the fields of the Citation File Format 1.2.0, and the same facts as elsewhere."""

import datetime
import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
PAPER = CITATION["preferred-citation"]
#: Fields of the format's schema.
TOP = """
    abstract authors cff-version commit contact date-released doi identifiers keywords license
    license-url message preferred-citation references repository repository-artifact
    repository-code title type url version
""".split()
REFERENCE = "authors identifiers journal month title type url year".split()
PERSON = {"family-names", "given-names", "name-particle", "name-suffix", "affiliation", "orcid"}
ENTITY = {"name", "website", "email", "orcid", "address", "city", "country"}


def test_only_fields_of_the_format_and_all_that_it_demands():
    assert set(CITATION) <= set(TOP)
    assert {"authors", "cff-version", "message", "title"} <= set(CITATION)
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] in ("software", "dataset")
    assert set(PAPER) <= set(REFERENCE)
    assert {"authors", "title", "type"} <= set(PAPER)
    texts = ("abstract", "license", "message", "title", "version")
    assert all(isinstance(CITATION[name], str) and CITATION[name] for name in texts)
    assert all(isinstance(word, str) for word in CITATION["keywords"])
    assert len(set(CITATION["keywords"])) == len(CITATION["keywords"])


def test_authors_are_persons_or_entities():
    for author in CITATION["authors"] + PAPER["authors"]:
        assert set(author) <= (ENTITY if "name" in author else PERSON)
        assert all(isinstance(value, str) and value for value in author.values())


def test_identifiers_are_typed():
    for one in CITATION["identifiers"] + PAPER["identifiers"]:
        assert {"type", "value"} <= set(one) <= {"type", "value", "description"}
        assert one["type"] in ("doi", "url", "swh", "other")


def test_the_newest_version_of_the_changelog_is_the_package_s():
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## \[(.+)\] - (.+)$", text, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert headings[0][0] == project["version"]
    days = [datetime.date.fromisoformat(day) for _, day in headings]
    assert days == sorted(days, reverse=True)
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_no_module_states_a_version_of_its_own():
    """It is asked of the installed package; pyproject.toml alone says it."""
    stated = [f for f in (ROOT / "src").rglob("*.py") if "__version__ =" in f.read_text()]
    assert stated == []


def test_it_agrees_with_package_licence_and_paper():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert CITATION["version"] == project["version"]
    assert CITATION["license"] == project["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    (holder,) = CITATION["authors"]
    assert holder["name"] in (ROOT / "LICENSE").read_text()
    (identifier,) = PAPER["identifiers"]
    number = identifier["value"].removeprefix("arXiv:")
    assert PAPER["url"] == f"https://arxiv.org/abs/{number}"
    assert f"arXiv {number}" in project["description"]
    # arXiv numbers begin with year and month.
    assert re.fullmatch(r"\d{4}\.\d{5}", number)
    assert number[:4] == datetime.date(PAPER["year"], PAPER["month"], 1).strftime("%y%m")
    title = " ".join((ROOT / "README.md").read_text().split())
    assert PAPER["title"] in title
