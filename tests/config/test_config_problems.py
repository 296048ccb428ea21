"""What is wrong with a configuration is one line that names the key."""

from pathlib import Path

import pytest

from unblind.config import load
from unblind.errors import UnblindError

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
MINI = FOLDER / "mini.yaml"
ROUND = {
    "steps": 8,
    "batch": 4,
    "rate": 0.1,
    "warm_up": 1,
    "weight_decay": 0.0,
    "pictures_with_questions": 0,
}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ({"demos.sucesses": 8}, "unknown key 'demos.sucesses', did you mean 'successes'"),
        ({"sead": 8}, "unknown key 'sead', did you mean 'seed' or 'seeds'"),
        ({"runs.oracle.polcy": "x"}, "unknown key 'runs.oracle.polcy', did you mean 'policy'"),
        ({"demos.executed_noise.xyz": 0.1}, "unknown key 'demos.executed_noise.xyz'"),
        ({"demos.noop_filter": "marge"}, "'demos.noop_filter'.*'released', 'merge' or 'none'"),
        (
            {"training.align.teacher": "dinov2-big"},
            "'training.align.teacher': no such teacher, did you mean .*'dinov2-giant'",
        ),
        ({"seed": "3"}, "'seed'.*integer.*'3'"),
        ({"rollout.episodes": 0}, "'rollout.episodes'.*greater than or equal to 1"),
        ({"base.robot": []}, "'base.robot'.*at least 1 item"),
        ({"base.robot": [{"stepz": 1}]}, r"'base.robot.0.stepz', did you mean 'steps'"),
        (
            {"base.robot": [ROUND | {"pictures_with_questions": 4}]},
            "leaves no frame in a batch of 4",
        ),
        ({"base.demos.missed_grasps": 0.95}, "and dropped_objects are more than all episodes"),
        ({"render.width": 100}, "'render'.*100 x 96 is not 4:3"),
        ({"table1.rows": ["orcle"]}, "'orcle', did you mean 'oracle'"),
        ({"runs.noop.method": "align"}, "method 'align' needs the policy 'vla'"),
        ({"seeds": [1, 1]}, "seeds names a value twice"),
        ({"seed.x": 1}, "override 'seed.x': 'seed' holds no keys"),
    ],
)
def test_a_wrong_value_is_one_error_that_names_it(override, words):
    with pytest.raises(UnblindError, match=words) as caught:
        load(MINI, override)
    assert "\n" not in str(caught.value)
