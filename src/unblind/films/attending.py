"""Where the model of a film looks while it acts."""

import numpy as np

from unblind.config import Config
from unblind.films.acting import Actor, Take

_BATCH = 16


def layer(config: Config) -> int:
    """Return the decoder's layer whose maps are shown: the aligned one, as in Figure 4."""
    return config.training.align.layers[0]


def maps(config: Config, who: Actor, take: Take) -> np.ndarray:
    """Return the attention of the instruction's last token to each picture of an episode.

    Args:
        config: names the layer.
        who: with a model.
        take: what it has done.

    Returns:
        (T + 1, rows, columns) float64 in multiples of an even map.

    Raises:
        UnblindError: the model gives no attention weights.
    """
    import pandas as pd

    from unblind.diagnosis.attention import PROMPTS, prompt_attention, variants
    from unblind.diagnosis.frames import Frames
    from unblind.report.attention_figure import even

    told = {"instruction": take.episode.instruction, "object": take.episode.object}
    rows = pd.DataFrame([told] * len(take.pictures))
    nothing = np.zeros((len(rows), 1, 1), np.uint8)
    frames = Frames(rows, take.pictures, nothing)
    found = []
    for start in range(0, len(rows), _BATCH):
        some = frames.where((np.arange(len(rows)) // _BATCH) == start // _BATCH)
        by_prompt = variants(prompt_attention(who.model, some, config.attention))["raw"]
        found += list(by_prompt[:, PROMPTS.index("action"), layer(config) - 1])
    return np.stack([even({"map": one}) for one in found])
