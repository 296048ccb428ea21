"""Makes tests/data/rlds with TensorFlow Datasets itself; run by hand where that is installed.

python tests/formats/golden.py tests/data/rlds
"""

import sys

import numpy as np

NAME, EPISODES, STEPS, HEIGHT, WIDTH = "golden_set", 3, 4, 12, 16


def picture(episode, step):
    """Return a picture (HEIGHT, WIDTH, 3) that JPEG keeps within a few units."""
    ramp = np.linspace(40, 200, WIDTH)[None, :, None] + np.zeros((HEIGHT, 1, 3))
    return (ramp + 10 * np.array([episode, step, 0])).astype(np.uint8)


def action(episode, step):
    """Return an action of 2 cm, so that no rule of small steps drops it."""
    values = [0.02, 0.001 * episode, 0.001 * step, 0.1, 0.0, -0.1, 1 - 2 * (step % 2)]
    return np.array(values, np.float32)


def instruction(episode):
    return ["put carrot on plate", "put café on plate", "put rubber duck on plate"][episode]


def file_path(episode):
    return f"/data/1400/success_proc_0_numid_{episode}_epsid_{10 * episode}.npz"


def build(folder):
    """Write the set as TensorFlow Datasets writes it: the features of the authors' builder."""
    import tensorflow_datasets as tfds

    step = tfds.features.FeaturesDict(
        {
            "observation": tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(HEIGHT, WIDTH, 3), dtype=np.uint8, encoding_format="jpeg"
                    )
                }
            ),
            "action": tfds.features.Tensor(shape=(7,), dtype=np.float32),
            "language_instruction": tfds.features.Text(),
        }
    )
    paths = tfds.features.FeaturesDict({"file_path": tfds.features.Text()})
    described = {"steps": tfds.features.Dataset(step), "episode_metadata": paths}

    def examples():
        for episode in range(EPISODES):
            steps = [
                {
                    "observation": {"image": picture(episode, number)},
                    "action": action(episode, number),
                    "language_instruction": instruction(episode),
                }
                for number in range(STEPS)
            ]
            told = {"file_path": file_path(episode)}
            yield str(episode), {"steps": steps, "episode_metadata": told}

    class GoldenSet(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict(described)
            return tfds.core.DatasetInfo(builder=self, description="Golden.", features=features)

        def _split_generators(self, dl_manager):
            return {"train": examples()}

        def _generate_examples(self):
            yield from ()

    GoldenSet(data_dir=folder).download_and_prepare()


if __name__ == "__main__":
    build(sys.argv[1])
