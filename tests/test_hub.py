import huggingface_hub
import pytest

from unblind import hub
from unblind.errors import UnblindError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_patterns_and_commit_reach_the_hub(monkeypatch, tmp_path):
    asked = {}

    def download(repo, **options):
        asked.update(options, repo=repo)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert hub.fetch("a/b", COMMIT, ("config.json", "model*.safetensors")) == tmp_path
    assert asked == {
        "repo": "a/b",
        "revision": COMMIT,
        "allow_patterns": ["config.json", "model*.safetensors"],
    }


@pytest.mark.parametrize(
    "revision", ["", "main", "v1", COMMIT[:-1], COMMIT.upper(), COMMIT + "\n", COMMIT + "0"]
)
def test_a_revision_that_may_move_is_refused(revision):
    with pytest.raises(UnblindError, match="a branch or a tag may move"):
        hub.fetch("a/b", revision, ["config.json"])


@pytest.mark.parametrize("pattern", ["*", "*.py", "pytorch_model.bin", "model.pth", "json"])
def test_only_data_is_fetched(pattern):
    with pytest.raises(UnblindError, match="pickles and code are not"):
        hub.fetch("a/b", COMMIT, ["config.json", pattern])
    with pytest.raises(UnblindError, match="no file is not fetched"):
        hub.fetch("a/b", COMMIT, [])


@pytest.mark.parametrize("repo", ["a", "a/b/c", "../a", "a/b c", ""])
def test_names_that_are_no_repository_are_refused(repo):
    with pytest.raises(UnblindError, match="no repository of the hub"):
        hub.fetch(repo, COMMIT, ["config.json"])


def test_offline_is_one_line_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UnblindError) as caught:
        hub.fetch("owner/name", COMMIT, ["config.json"])
    text = str(caught.value)
    assert "\n" not in text and f"cannot fetch owner/name at {COMMIT}" in text
    assert "the hub cannot be reached" in text and "name a folder that holds config.json" in text


def test_a_dead_network_is_one_line_too(monkeypatch):
    def download(*_, **__):
        raise OSError("Connection refused\nand much more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(UnblindError) as caught:
        hub.fetch("owner/name", COMMIT, ["config.json"])
    assert "Connection refused (" in str(caught.value) and "\n" not in str(caught.value)


def test_a_place_is_a_folder_or_a_commit(monkeypatch, tmp_path):
    assert hub.place(str(tmp_path), ["config.json"]) == tmp_path
    monkeypatch.setattr(hub, "fetch", lambda *arguments: arguments)
    assert hub.place(f"a/b@{COMMIT}", ["x.json"]) == ("a/b", COMMIT, ["x.json"])
    for source in ("a/b", str(tmp_path / "none"), "@", "none@" + COMMIT):
        with pytest.raises(UnblindError, match="no folder"):
            hub.place(source, ["config.json"])
