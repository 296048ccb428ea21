"""A vision-language model of the hub at work: what it says, where it looks, and its states.

The grid of visual tokens and their places in the sequence are found by the model's own image token
and by the table of families; nothing of a model's code is changed.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from unblind.answerers import loading
from unblind.answerers.families import FAMILIES, Family
from unblind.errors import UnblindError

#: Prompts in a batch of answers.
_BATCH = 8


@dataclass(frozen=True, eq=False)
class Look:
    """What a model makes of one picture and one question.

    Attributes:
        grid: rows and columns of the visual tokens.
        weights: (layers, heads, 2 + n) float64, of the prompt's last token: to the first token, if
            it is no visual one (else 0), to each visual token, and to all others; adds up to 1.
        visual: (1 + layers, n, hidden) states of the visual tokens, embeddings first.
        last: (1 + layers, hidden) states of the prompt's last token.
    """

    grid: tuple[int, int]
    weights: np.ndarray
    visual: np.ndarray
    last: np.ndarray


class Answerer:
    """A model with its processor.

    Args:
        family: how it is read.
        model: of transformers, in evaluation mode.
        processor: its own.

    Attributes:
        layers: of its decoder.
    """

    def __init__(self, family: Family, model: nn.Module, processor: Any) -> None:
        self._family, self._model, self._processor = family, model, processor
        self.layers = len(_blocks(model))
        _make_greedy(model)

    @torch.no_grad()
    def say(self, images: np.ndarray, questions: Sequence[str], tokens: int) -> list[str]:
        """Return what the model answers, greedily.

        Args:
            images: (N, H, W, 3) uint8, RGB.
            questions: one a picture.
            tokens: longest answer.
        """
        said: list[str] = []
        for start in range(0, len(images), _BATCH):
            rows = slice(start, start + _BATCH)
            inputs = self._inputs(images[rows], questions[rows])
            ids = self._model.generate(**inputs, max_new_tokens=tokens)
            new = ids[:, inputs["input_ids"].shape[1] :]
            said += self._processor.batch_decode(new, skip_special_tokens=True)
        return [text.strip() for text in said]

    @torch.no_grad()
    def look(self, image: np.ndarray, question: str) -> Look:
        """Return where the model looks, and its states, for one whole picture (H, W, 3) uint8.

        Raises:
            UnblindError: the model was not loaded with ``eager``, or its visual tokens form no
                grid.
        """
        inputs = self._inputs(image[None], [question], **self._family.whole)
        with _attended(self._model) as rows:
            output = self._model(**inputs, output_hidden_states=True, logits_to_keep=1)
        (ids,) = inputs["input_ids"]
        places = (ids == self._model.config.image_token_id).nonzero()[:, 0].cpu()
        states = torch.stack(output.hidden_states)[:, 0].float().cpu()
        return Look(
            self._grid(inputs, len(places)),
            _split(torch.stack(rows)[:, 0].double().cpu(), places),
            states[:, places].numpy(),
            states[:, -1].numpy(),
        )

    def _inputs(self, images: np.ndarray, questions: Sequence[str], **how: Any) -> dict[str, Any]:
        """Return what the model takes of pictures with a question each, padded on the left."""
        text = [self._family.prompt.format(question=question) for question in questions]
        inputs = self._processor(
            images=[[Image.fromarray(image)] for image in images],
            text=text,
            padding=True,
            padding_side="left",
            return_tensors="pt",
            **how,
        )
        inputs.pop("labels", None)  # PaliGemma's, for training
        weight = next(self._model.parameters())
        return dict(inputs.to(weight.device, weight.dtype))

    def _grid(self, inputs: dict[str, Any], count: int) -> tuple[int, int]:
        if self._family.grid == "patches":
            merge = self._processor.image_processor.merge_size
            _, rows, columns = (int(n) for n in inputs["image_grid_thw"][0])
            grid = rows // merge, columns // merge
        else:
            grid = (round(count**0.5),) * 2
        if grid[0] * grid[1] != count or not count:
            raise UnblindError(
                f"{count} visual tokens of {self._family.title} form no grid of "
                f"{grid[0]} x {grid[1]}",
                "use the processor's files that belong to the checkpoint",
            )
        return grid


def load(
    folder: Path, family: str, device: torch.device, dtype: torch.dtype, eager: bool = False
) -> Answerer:
    """Return the model in a folder; arguments and errors as for `loading.read`."""
    row = FAMILIES[family]
    return Answerer(row, *loading.read(folder, row, device, dtype, eager))


def _make_greedy(model: nn.Module) -> None:
    """Let the model take the likeliest token, whatever its own generation_config says."""
    from transformers import GenerationConfig

    own = model.generation_config
    end = own.eos_token_id if own.eos_token_id is not None else _end(model)
    pad = own.pad_token_id
    if pad is None:
        pad = end[0] if isinstance(end, list) else end
    model.generation_config = GenerationConfig(
        do_sample=False, num_beams=1, eos_token_id=end, pad_token_id=pad
    )


def _end(model: nn.Module) -> int | list[int] | None:
    return model.config.get_text_config().eos_token_id


def _blocks(model: nn.Module) -> nn.ModuleList:
    """Return the decoder's blocks, first to last.

    Raises:
        UnblindError: it has none where transformers' models have them.
    """
    blocks = getattr(model.get_decoder(), "layers", None)
    if not blocks or not all(hasattr(block, "self_attn") for block in blocks):
        raise UnblindError(
            f"{type(model).__name__} has no decoder with attention in every layer",
            "use a model of another family",
        )
    return blocks


@contextlib.contextmanager
def _attended(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collect, while the model runs, (B, heads, T) of each layer: what the last token attends to.

    Raises:
        UnblindError: attention is computed without weights.
    """
    rows: list[Tensor] = []

    def collect(_: nn.Module, __: tuple, output: tuple) -> None:
        if output[1] is None:
            raise UnblindError("the model gives no attention weights", "load it with eager=True")
        rows.append(output[1][:, :, -1])

    with contextlib.ExitStack() as stack:
        for block in _blocks(model):
            stack.callback(block.self_attn.register_forward_hook(collect).remove)
        yield rows


def _split(weights: Tensor, places: Tensor) -> np.ndarray:
    """Return weights (layers, heads, T) as `Look.weights` has them."""
    seen = weights[..., places]
    first = torch.zeros_like(weights[..., :1])
    if not (places == 0).any():
        first = weights[..., :1]
    rest = weights.sum(-1, keepdim=True) - seen.sum(-1, keepdim=True) - first
    return torch.cat([first, seen, rest], -1).numpy()
