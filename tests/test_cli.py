import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFIG = str(ROOT / "workflow" / "config" / "smoke.yaml")
PICTURE = "docs/images/conditions.png"
ELSEWHERE = ("--set", "results=nowhere", "--set", "rebuild_base=true")


def unblind(*words, folder=ROOT):
    command = [sys.executable, "-m", "unblind.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_help_needs_nothing_heavy():
    done = unblind("--help")
    assert done.returncode == 0
    assert "table1" in done.stdout
    heavy = "{'torch', 'transformers', 'sapien', 'mani_skill', 'pandas', 'pyarrow', 'cv2'}"
    program = f"import sys, unblind.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_conditions_as_json():
    listed = json.loads(unblind("conditions", "--json").stdout)
    keys = {"name", "suite", "column", "released_env", "split", "episodes", "factors"}
    assert len(listed) == 14
    assert all(keys <= entry.keys() for entry in listed)
    # Sizes of the released evaluation spaces.
    sizes = {entry["column"]: entry["episodes"] for entry in listed}
    assert (sizes["Carrot"], sizes["PosChangeTo"]) == (451584, 2154496)


def test_decode_prints_plain_json():
    # The release counts yaw fastest, then 784 places: id 5 is place 1, yaw 45 degrees.
    for name in ("carrot", "PutOnPlateInScene25Carrot-v1"):
        done = unblind("decode", name, "5", "--json")
        episode = json.loads(done.stdout)
        assert (episode["object"], episode["yaw_deg"]) == ("travel cup", 45.0)
        assert episode["instruction"] == "put travel cup on plate"
    train = json.loads(unblind("decode", "carrot", "5", "--split", "train", "--json").stdout)
    assert train["object"] == "carrot"
    assert json.loads(unblind("decode", "in_distribution", "5", "--json").stdout) | {} == (
        train | {"condition": "in_distribution"}
    )


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["decode", "carot", "5"], "unknown condition 'carot'"),
        (["decode", "carrot", "451584"], "451584"),
        (["decode", "carrot", "-1"], "-1"),
        (["rollout", "--run", "orcle"], "unknown run 'orcle', did you mean 'oracle'"),
        (["demos", "--set", "demos.sucesses=1"], "unknown key 'demos.sucesses'"),
        (["table1", "--config", "absent.yaml"], "cannot read configuration absent.yaml"),
        (["table1", "--config", CONFIG, "--records", "nowhere"], "nowhere.*is missing"),
        (["train", "--run", "orcle"], "unknown run 'orcle', did you mean 'oracle'"),
        (["train", "--run", "base"], "run 'base' has no method: there is nothing to train (runs"),
        (["train", "--run", "align", *ELSEWHERE], "(run: unblind base warm-up, or set"),
        (["features", "low", *ELSEWHERE], "no base in nowhere/rebuilt-base: config.json, model"),
        (["base", "tower", *ELSEWHERE], "manifest.json is missing (run: unblind base questions)"),
        (["base", "vlm", *ELSEWHERE], "is missing (run: unblind base tower)"),
        (["base", "robot", *ELSEWHERE], "is missing (run: unblind base vlm)"),
        (["base", "warm-up", *ELSEWHERE], "is missing (run: unblind base robot)"),
        (["predict", "Makefile", "put carrot on plate"], "Makefile is no readable picture"),
        (["predict", "absent.png", "put carrot on plate"], "absent.png is missing"),
        (["predict", PICTURE, "x", "--run", "noop"], "run 'noop' is scripted"),
        (["watch", "carrot", "5", "--run", "alihn"], "unknown run 'alihn', did you mean 'align'"),
        (["compare", "carrot", "--runs", "default"], "no comparison of default (name two runs)"),
        (["rollout", "--run", "align", *ELSEWHERE], "no base in nowhere/rebuilt-base"),
    ],
)
def test_a_problem_is_one_line_and_exit_code_1(words, cause):
    done = unblind(*words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert cause.split(".*")[0] in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["rollout"],
        ["decode", "carrot", "5", "--splat", "train"],
        ["watch", "carrot", "5", "--run", "align", "--side-by-side", "align"],
        ["demos", "--workers", "0"],
        ["demos", "--set", "seed"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_exit_code_2(words):
    assert unblind(*words).returncode == 2


_MODELS = ("vlm", "base", "default")


def test_costs_are_estimated_and_then_measured(tmp_path):
    import synthetic

    from unblind.config import load

    config, results = load(CONFIG), ("--set", f"results={tmp_path}")
    before = unblind("costs", "--config", CONFIG, *results).stdout.splitlines()
    rows = ["demos", "replay", "features low", "training of default"]
    rows += [f"rollout of {run}" for run in ("default", "base", "oracle", "random", "noop")]
    rows += ["arms of default", "arms of base", "drift of default"]
    rows += [
        "held out",
        "probe pictures",
        "probe teacher",
        "probe references",
        "frames",
        "think frames",
    ]
    asked = ("answers", "probe", "collapse", "think answers")
    rows += [f"{what} of {run}" for what in asked for run in _MODELS]
    rows += [
        f"{what} of {run}" for what in ("attention", "knockout") for run in ("base", "default")
    ]
    rows += [f"think of {run}" for run in ("base", "default", "oracle", "always_left")]
    told = [line[:24].strip() for line in before[1:]]
    assert sorted(told) == sorted([*rows, "together"]) and told[-1] == "together"
    assert {line.split()[-1] for line in before[1:]} == {"-"}
    assert all(float(line.split()[-2]) > 0 for line in before[1:])
    synthetic.write_demos(config, tmp_path / "demos")
    meta = tmp_path / "demos" / "manifest.json.meta.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"cpu_s": 12.3}))
    after = unblind("costs", "--config", CONFIG, *results).stdout.splitlines()
    assert after[1].split() == ["demos", after[1].split()[1], "12"]
    assert after[-1].split()[-1] == "12"


def test_costs_of_a_rebuilt_base_are_told_by_stage(tmp_path):
    words = ("--set", f"results={tmp_path}", "--set", "rebuild_base=true", "--config", CONFIG)
    lines = unblind("costs", *words).stdout.splitlines()
    stages = ("questions", "pretraining demos", "warm up demos", "tower", "vlm", "robot", "warm up")
    assert {line[:24].strip() for line in lines} >= set(stages)


def test_schema_is_written_where_asked(tmp_path):
    path = tmp_path / "schema.json"
    assert unblind("schema", "--write", "--out", str(path)).returncode == 0
    assert path.read_text() == unblind("schema").stdout


# ---- terminals ---------------------------------------------------------------------------------

TEXT = b"put \xff carrot"
BUFFERS = [{}, {"PYTHONUNBUFFERED": "1"}]


def start(*words, folder=ROOT, **options):
    """Start the command line with buffers as in a plain shell, unless the variables change that.

    It hears SIGINT also when the tests were started in the background, where shells ignore it.
    """
    variables = {key: value for key, value in os.environ.items() if key[:6] != "PYTHON"}
    hearing = ("env", "--default-signal=INT")
    command = [*hearing, sys.executable, "-m", "unblind.cli", *words]
    options["env"] = variables | options.get("env", {})
    return subprocess.Popen(command, cwd=folder, **options)


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (["predict", "P", TEXT], 3),
        (["trace", b"results/\xff"], 2),
        (["verify", "--set", b"results=\xff"], 3),
        (["pull", b"a\nb\x80"], 2),
        ([b"--\xc3"], 1),
        (["base", "promote", b"\xed\xa0\x80"], 3),  # a surrogate, as if it were a character
        (["openvla", "m", "p", TEXT, "--seed", "1"], 4),
    ],
)
def test_arguments_that_are_no_text_are_one_line(words, number, tmp_path):
    done = start(*words, folder=tmp_path, stdout=-1, stderr=-1)
    out, err = done.communicate()
    word = next(word for word in words if isinstance(word, bytes))
    wanted = f"error: argument {number} is not valid UTF-8: {repr(word)[1:]} "
    assert (done.returncode, out) == (2, b"")
    assert err.decode() == f"{wanted}(rename the file, or type it again)\n"
    assert list(tmp_path.iterdir()) == []


def test_text_that_the_locale_cannot_hold_is_said_to_be_so():
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = start("predict", "P", "put café", stdout=-1, stderr=-1, env=plain)
    out, err = done.communicate()
    assert (done.returncode, out) == (2, b"")
    wanted = b"error: argument 3 is not valid ASCII: 'put caf\\xc3\\xa9' (set a locale with UTF-8"
    assert err.startswith(wanted) and err.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "ascii:strict"])
def test_whatever_is_printed_fits_the_terminal(encoding, tmp_path):
    (tmp_path / os.fsdecode(b"\xe9 \xe2\x94\x82 \xf0\x9f\xa5\x95")).mkdir()
    name = next(tmp_path.iterdir()).name
    program = (
        "import sys, os, typer\nfrom unblind import cli\n"
        "@cli.app.command()\n"
        "def show(): [print(os.listdir('.')[0], file=f) for f in (sys.stdout, sys.stderr)]\n"
        "sys.argv = ['unblind', 'show']\ncli.main()\n"
    )
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    wanted = name.encode(encoding.partition(":")[0], "backslashreplace") + b"\n"
    assert (done.stdout, done.stderr) == (wanted, wanted)


@pytest.mark.parametrize("variables", BUFFERS)
@pytest.mark.parametrize("words", [["conditions"], ["schema"], ["decode", "carrot", "5"]])
def test_a_reader_that_goes_away_ends_a_command_without_a_word(words, variables):
    reader, writer = os.pipe()
    os.close(reader)
    done = start(*words, stdout=writer, stderr=-1, env=variables)
    os.close(writer)
    assert done.communicate()[1] == b""
    assert done.returncode == 141


@pytest.mark.parametrize("words", [["verify", "--config", "absent.yaml"], ["nonsense"], ["--help"]])
def test_nor_do_errors_and_help_need_a_reader(words):
    reader, writer = os.pipe()
    os.close(reader)
    done = start(*words, stdout=writer, stderr=writer)
    os.close(writer)
    assert done.wait() in (141, 1)  # 1: the help's own library takes it so


@pytest.mark.parametrize("variables", BUFFERS)
@pytest.mark.parametrize("words", [["conditions"], ["schema"]])
def test_a_full_disk_behind_the_output_is_one_line(words, variables):
    with open("/dev/full", "w") as full:
        done = start(*words, stdout=full, stderr=-1, env=variables)
    wanted = b"error: disk full (free space, then run the same command)\n"
    assert (done.communicate()[1], done.returncode) == (wanted, 1)


def test_a_closed_output_disturbs_nothing():
    shell = f"{sys.executable} -m unblind.cli"
    for words, code in (("conditions >&-", 0), ("verify --config absent.yaml 2>&-", 1)):
        done = subprocess.run(f"{shell} {words}", shell=True, cwd=ROOT, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


@pytest.mark.parametrize("group", [True, False], ids=["with its workers", "alone"])
def test_an_interrupt_ends_a_command_without_a_traceback(group, tmp_path):
    words = ("survey", "--workers", "2", "--config", CONFIG, "--out", str(tmp_path / "out.json"))
    done = start(*words, stdout=-1, stderr=-1, text=True, start_new_session=True)
    said = done.stderr.readline()
    assert said.startswith("attempts: "), "workers load their libraries now"
    (os.killpg if group else os.kill)(done.pid, signal.SIGINT)
    out, err = done.communicate(timeout=60)
    assert (done.returncode, out, err) == (130, "", "")
    assert list(tmp_path.iterdir()) == []
