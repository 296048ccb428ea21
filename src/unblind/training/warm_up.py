"""The warm-up that precedes every method: LoRA on few demonstrations, merged into the base.

The released chain is base, warm-up on 140 episodes, merge; then every method starts a new LoRA.
"""

import json
from pathlib import Path

import torch

from unblind.config import Config, digest
from unblind.progress import UNIT_CPU_S
from unblind.training import features, finetuning, loop, stages
from unblind.training.parallel import Team
from unblind.vla import checkpoint, lora


def warm_up(config: Config, start: Path, demos: Path, out: Path) -> None:
    """Train on ``demos`` from the checkpoint ``start``; write the merged checkpoint ``out``.

    Raises:
        UnblindError: an input is missing or does not fit, or the disk is full.
    """
    torch.set_num_threads(1)
    found, values = checkpoint.load(start), config.base.warm_up
    frames = finetuning.demonstrations(config, found, demos, "train", config.seed)
    low = out / "low.npy"
    features.write_low(found.model, frames, low)
    wrapped = lora.add_lora(
        found.model,
        vision=True,
        seed=config.seed,
        rank=config.training.rank,
        alpha=config.training.alpha,
    )
    tuner = finetuning.FineTuner(
        wrapped.get_base_model().train(),
        frames,
        stages.token_loss(config.base.loss, found.vocabulary),
        features.read(low, len(frames.frames)),
        values.batch,
    )
    loop.fit(
        Team(0, 1),
        {name: p for name, p in wrapped.named_parameters() if p.requires_grad},
        [],
        tuner,
        stages.schedule(values),
        out,
        digest(config.part("warm_up") | {"start": found.identity}),
        unit_cpu_s=UNIT_CPU_S["training"] * values.batch,
    )
    statistics = json.loads((start / checkpoint.STATISTICS).read_text(encoding="utf-8"))
    checkpoint.save(out, lora.merge(wrapped), found.vocabulary, statistics)
