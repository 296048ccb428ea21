"""One process makes a thing at a time, and nobody has to clean up after a killed one."""

import subprocess
import sys
import threading
import time

import pytest

from unblind import locks
from unblind.errors import UnblindError

HOLDER = """
import sys, time
from unblind import locks
with locks.alone(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of ``tmp_path / "made"``."""
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "made")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path, holder):
    path = tmp_path / "made"
    with pytest.raises(UnblindError, match=r"somebody is here .wait for its end"):
        with locks.alone(path, "somebody is here"):
            raise AssertionError("two at once")
    holder.kill()
    holder.wait()
    with locks.alone(path, "somebody is here"):
        assert [one.name for one in tmp_path.iterdir()] == [".made.lock"]
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_waits_and_says_so(tmp_path, holder, capsys):
    threading.Timer(0.3, holder.kill).start()
    begin = time.monotonic()
    with locks.alone(tmp_path / "made"):
        assert time.monotonic() - begin >= 0.25
    assert capsys.readouterr().err == f"waiting: another process makes {tmp_path / 'made'}\n"


def test_no_two_at_once_though_each_deletes_the_lock(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")

    def count():
        for _ in range(50):
            with locks.alone(counter):
                number = int(counter.read_text())
                time.sleep(0.0002)
                counter.write_text(str(number + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text() == "200"


def test_an_error_frees_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), locks.alone(tmp_path / "made"):
        raise ZeroDivisionError
    with locks.alone(tmp_path / "made", "busy"):
        pass


def test_where_no_lock_can_be_had_the_work_goes_on(tmp_path):
    (tmp_path / "file").write_text("")
    with locks.alone(tmp_path / "file" / "made", "busy"):
        done = True
    assert done
