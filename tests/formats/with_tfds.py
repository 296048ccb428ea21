"""Reads a data set with TensorFlow Datasets itself; run by hand where that is installed.

python tests/formats/with_tfds.py FOLDER    # prints a line for each episode
"""

import hashlib
import json
import sys


def digest(array):
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def read(folder):
    """Yield what each episode holds, in a form that a test compares."""
    import numpy as np
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    for split in builder.info.splits:
        config = tfds.ReadConfig(interleave_cycle_length=1)
        for episode in builder.as_dataset(split=split, read_config=config):
            steps = [tfds.as_numpy(step) for step in episode["steps"]]
            told = tfds.as_numpy(episode["episode_metadata"])
            yield {
                "split": split,
                "episode_id": int(told["episode_id"]) if "episode_id" in told else None,
                "file_path": told["file_path"].decode(),
                "instruction": steps[0]["language_instruction"].decode(),
                "pictures": digest(np.stack([step["observation"]["image"] for step in steps])),
                "actions": digest(np.stack([step["action"] for step in steps])),
                "held": [bool(step["held"]) for step in steps if "held" in step],
                "stages": [step["stage"].decode() for step in steps if "stage" in step],
                "ends": [[step["is_first"], step["is_last"]] for step in steps].index([0, 1]),
            }


if __name__ == "__main__":
    for one in read(sys.argv[1]):
        print(json.dumps(one, default=bool))
