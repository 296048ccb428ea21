"""How many and how long: the settings that choose no branch of the code.

The probe study of a proof is mini's own configuration with these cut, and nothing else: sizes of
models and batches stay, because the kernels that compute them depend on shapes.
"""

from collections.abc import Mapping

#: Key -> value in the probe study. Just enough to cross each border: two shards of demonstrations
#: and of pictures, two passes over the data, a checkpoint of a training (every 100 steps), both
#: rounds of robot pretraining.
COUNTS: Mapping[str, int] = {
    "demos.successes": 32,
    "demos.held_out_per_object": 1,
    "demos.shard_episodes": 16,
    "base.demos.successes": 32,
    "base.demos.shard_episodes": 16,
    "base.warm_up_episodes": 16,
    "base.questions.images": 1040,
    "base.questions.held_out": 40,
    "answers.pictures": 40,
    "drift.pictures": 40,
    "drift.answered": 40,
    "drift.resamples": 20,
    "gradients.batches": 2,
    "landscape.grid": 2,
    "landscape.edge": 1,
    "landscape.frames": 8,
    "landscape.pictures": 8,
    "landscape.edge_frames": 40,
    "landscape.edge_pictures": 40,
    "frames.episodes": 1,
    "frames.class_episodes": 8,
    "knockout.episodes": 1,
    "probe.icons": 1,
    "probe.portraits": 1,
    "probe.portraits_test": 1,
    "probe.stills": 2,
    "probe.stills_test": 1,
    "probe.epochs": 2,
    "base.tower.steps": 110,
    "base.tower.warm_up": 10,
    "contrastive.images": 1040,
    "contrastive.schedule.steps": 110,
    "contrastive.schedule.warm_up": 10,
    "base.vlm.steps": 110,
    "base.vlm.warm_up": 10,
    "base.vlm.reading_steps": 60,
    "base.robot.steps": 110,
    "base.robot.warm_up": 10,
    "base.warm_up.steps": 110,
    "base.warm_up.warm_up": 10,
    "training.schedule.steps": 110,
    "training.schedule.warm_up": 10,
    "training.snapshots": 1,
    "replay.episodes": 8,
    "rollout.episodes": 1,
    "rollout.in_distribution_episodes": 2,
    "think.questions": 1,
    # In the sidecar of the pictures with questions.
    "images": 1040,
    "heldout": 40,
}
