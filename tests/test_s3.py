"""Another store: a real S3 server on the loopback device, with real DVC."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from unblind.errors import UnblindError
from unblind.study import dvc, store

ROOT = Path(__file__).parents[1]
SETTINGS = (".dvc/config", ".dvc/.gitignore", ".dvcignore")
LOCAL = ".dvc/config.local"
KEYS = {"AWS_ACCESS_KEY_ID": "anybody", "AWS_SECRET_ACCESS_KEY": "anything"}
NAME = "results/rollouts"
FILES = {"noop/0/plate.parquet": b"records" * 1000, "noop/0/plate.parquet.meta.json": b"{}"}


@pytest.fixture
def no_credentials(tmp_path, monkeypatch):
    """An environment in which no credentials can be found, and no proxy is asked."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def credentials(no_credentials, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def server():
    """An S3 server with a bucket; its address."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    address = f"http://{host}:{port}"
    keys = {name.lower(): value for name, value in KEYS.items()}
    client = boto3.client("s3", endpoint_url=address, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="results")
    yield address
    running.stop()


def checkout(folder, address):
    """Make a checkout whose default store is a bucket, as docs/storage.md tells."""
    for name in SETTINGS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / LOCAL).write_bytes(local_settings(address))
    return folder


@cache
def local_settings(address):
    """Return what DVC writes into a checkout's own settings, told once of each address."""
    with tempfile.TemporaryDirectory() as folder:
        for name in SETTINGS:
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, Path(folder) / name)
        name_bucket(folder, address)
        return (Path(folder) / LOCAL).read_bytes()


def name_bucket(folder, address):
    options = [
        ["remote", "add", "--local", "--default", "bucket", "s3://results/study"],
        ["remote", "modify", "--local", "bucket", "endpointurl", address],
    ]
    for words in options:
        command = [sys.executable, "-m", "dvc", *words]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


def fill(folder):
    for name, data in FILES.items():
        (folder / NAME / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / NAME / name).write_bytes(data)
    store.add(NAME)


def test_results_go_to_a_bucket_and_come_back(server, credentials, tmp_path, monkeypatch):
    first = checkout(tmp_path / "first", server)
    monkeypatch.chdir(first)
    assert not store.is_embedded()
    fill(first)
    store.push(NAME, remote=None)
    assert not Path("dvcstore").exists(), "nothing goes to the embedded store"
    assert "endpointurl" not in Path(".dvc/config").read_text()

    second = checkout(tmp_path / "second", server)
    monkeypatch.chdir(second)
    (second / "results").mkdir()
    shutil.copy(store.pointer_path(first / NAME), store.pointer_path(second / NAME))
    assert store.pull(NAME) is True
    assert {
        path.relative_to(second / NAME).as_posix(): path.read_bytes()
        for path in store.content(second / NAME)
    } == FILES
    assert store.pull(NAME) is False


@pytest.mark.parametrize(
    ("suffix", "lacks"),
    [
        ("", "lacks 1 of the contents of results/rollouts (2 files)"),
        (".dir", "lacks the list of the 2 files of results/rollouts, or cannot be reached"),
    ],
)
def test_a_bucket_that_lacks_an_object_is_named(
    server, credentials, tmp_path, monkeypatch, suffix, lacks
):
    monkeypatch.chdir(checkout(tmp_path / "first", server))
    fill(Path.cwd())
    store.push(NAME, remote=None)
    client = boto3.client("s3", endpoint_url=server, region_name="us-east-1")
    keys = [one["Key"] for one in client.list_objects_v2(Bucket="results")["Contents"]]
    client.delete_object(Bucket="results", Key=next(k for k in keys if Path(k).suffix == suffix))
    with pytest.raises(UnblindError) as caught:
        transfer("pull")
    assert caught.value.cause == f"remote 'bucket' (s3://results/study) {lacks}"
    assert caught.value.remedy == (
        f"push them from where they are: dvc push --remote bucket; all that DVC said: {dvc.LOG}"
    )
    fill(Path.cwd())
    store.push(NAME, remote=None)
    shutil.rmtree(NAME)
    assert store.pull(NAME) is True, "the remedy helps"


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_no_credentials_is_one_clear_error(
    server, no_credentials, tmp_path, monkeypatch, direction
):
    monkeypatch.chdir(checkout(tmp_path / "first", server))
    fill(Path.cwd())
    with pytest.raises(UnblindError) as caught:
        transfer(direction)
    assert "Unable to locate credentials" in caught.value.cause
    assert "credentials into the environment or .dvc/config.local" in caught.value.remedy
    assert "docs/storage.md" in caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_a_server_that_is_down_is_one_clear_error(credentials, tmp_path, monkeypatch, direction):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # by itself botocore asks five times, ever later
    monkeypatch.chdir(checkout(tmp_path / "first", address))
    fill(Path.cwd())
    with pytest.raises(UnblindError) as caught:
        transfer(direction)
    assert "Could not connect to the endpoint URL" in caught.value.cause
    assert address in caught.value.cause
    assert "start the server, or check the remote's endpointurl" in caught.value.remedy
    assert "\n" not in str(caught.value)


def transfer(direction):
    """Push what is there, or pull it after it was lost here."""
    if direction == "push":
        store.push(NAME, remote=None)
        return
    shutil.rmtree(NAME)
    shutil.rmtree(".dvc/cache")
    try:
        store.pull(NAME)
    finally:
        assert not Path(NAME).exists(), "nothing half-pulled"
