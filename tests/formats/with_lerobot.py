"""Reads a data set with LeRobot itself; run by hand where that is installed.

python tests/formats/with_lerobot.py FOLDER    # prints a line for each episode
"""

import hashlib
import json
import sys


def digest(array):
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def read(folder):
    """Yield what each episode holds, in a form that a test compares."""
    import numpy as np
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    whole = LeRobotDataset("test/set", root=folder)
    for number in range(whole.num_episodes):
        row = whole.meta.episodes[number]
        steps = [whole[i] for i in range(row["dataset_from_index"], row["dataset_to_index"])]
        part = LeRobotDataset("test/set", root=folder, episodes=[number])
        assert len(part) == len(steps) and part[0]["task"] == steps[0]["task"]
        pictures = np.stack([step["observation.image"].numpy() for step in steps])
        bytes_ = (pictures * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
        yield {
            "split": row["split"],
            "episode_id": int(steps[0]["episode_id"]),
            "file_path": row["file_path"],
            "instruction": steps[0]["task"],
            "pictures": digest(np.ascontiguousarray(bytes_)),
            "actions": digest(np.stack([step["action"].numpy() for step in steps])),
            "held": [bool(step["held"]) for step in steps],
            "stages": [step["stage"] for step in steps],
            "ends": [int(step["frame_index"]) for step in steps][-1],
        }
    assert set(whole.meta.stats["action"]) >= {"mean", "std", "min", "max", "q01", "q99"}


if __name__ == "__main__":
    for one in read(sys.argv[1]):
        print(json.dumps(one))
