"""The vision-language-action model: towers, projector, Llama decoder (Prismatic / OpenVLA).

A sequence is [BOS][visual tokens][text]. One class serves both scales: with two timm towers, a
three-layer projector and 32 decoder blocks its parameters have the names and shapes of
``openvla/openvla-7b``; with one EfficientNet trunk and a small decoder it trains on two cores.

Several questions about one picture may share its visual tokens: texts of different *branches* see
the picture and themselves, not each other, which equals separate sequences at a fraction of the
cost.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from unblind.errors import UnblindError
from unblind.machine import torchvision
from unblind.vla.towers import VisionBackbone, tower

torchvision.guard()
from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

if TYPE_CHECKING:
    from transformers import Cache


@dataclass(frozen=True)
class PrismaticConfig:
    """Sizes of a model.

    Attributes:
        towers: one or two names that `towers.tower` knows.
        image_size: side of the square picture in pixels.
        frozen_blocks: first blocks of a convolutional tower that are never trained.
        projector_width: hidden units of the projector.
        hidden_size: width of the decoder.
        layers: decoder blocks.
        heads: attention heads.
        intermediate_size: hidden units of a decoder block's MLP.
        vocab_size: token ids, of which the 256 before ``padded`` extra ones are actions.
        padded: unused ids at the end (OpenVLA: 64).
        bos: id of the token every sequence starts with.
        position_scale: amplitude of the 2-D sine positions that the visual tokens' position table
            starts from; 0: no table (OpenVLA).
        rms_norm_eps: of the decoder's norms.
        max_positions: longest sequence.
    """

    towers: tuple[str, ...]
    image_size: int
    frozen_blocks: int
    projector_width: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    vocab_size: int
    padded: int
    bos: int
    position_scale: float
    rms_norm_eps: float
    max_positions: int

    @property
    def grid(self) -> int:
        """Visual tokens along a side."""
        return self.image_size // tower(self.towers[0]).stride

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "towers": list(self.towers)}

    @classmethod
    def from_json(cls, text: str) -> "PrismaticConfig":
        """Return the configuration that `to_json` described.

        Raises:
            UnblindError: a key is missing, unknown or of another kind, or sizes do not fit.
        """
        try:
            values = json.loads(text)
            config = cls(**{**values, "towers": tuple(values["towers"])})
            config._check()
            return config
        except (ValueError, TypeError, KeyError) as error:
            raise UnblindError(
                f"not the config.json of a model: {error}", "fetch or make the base again"
            ) from None

    def _check(self) -> None:
        """Raise TypeError or ValueError where a value cannot be meant."""
        kinds = {int: (int,), float: (int, float)}
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) not in kinds.get(field.type, (tuple,)):
                raise TypeError(f"{field.name} is {value!r}")
        if self.hidden_size % (2 * self.heads):  # rotary positions turn pairs of channels
            raise ValueError(f"{self.heads} heads do not divide a width of {self.hidden_size}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the visual tokens: as the towers make them, and after each decoder block."""
        return (sum(tower(name).width for name in self.towers), *[self.hidden_size] * self.layers)

    def llama(self) -> LlamaConfig:
        """Return the decoder's configuration."""
        return LlamaConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.heads,
            intermediate_size=self.intermediate_size,
            max_position_embeddings=self.max_positions,
            rms_norm_eps=self.rms_norm_eps,
            tie_word_embeddings=False,
            attn_implementation="sdpa",
            pad_token_id=None,
            bos_token_id=None,
            eos_token_id=None,
        )


class Projector(nn.Module):
    """Visual tokens to the decoder's width: two layers for one tower, three for two (GELU)."""

    def __init__(self, width: int, hidden: int, out: int, layers: int) -> None:
        super().__init__()
        sizes = [width, hidden, *[out] * (layers - 1)]
        for number, (fan_in, fan_out) in enumerate(pairwise(sizes), 1):
            self.add_module(f"fc{number}", nn.Linear(fan_in, fan_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, n, width) to (B, n, out)."""
        first, *rest = self.children()
        x = first(x)
        for layer in rest:
            x = layer(functional.gelu(x))
        return x


class Text(NamedTuple):
    """Texts beside pictures, padded on the right.

    Attributes:
        ids: (B, T) token ids.
        positions: (B, T) place within the branch, from 0.
        branches: (B, T) number of the branch; -1 is padding.
    """

    ids: Tensor
    positions: Tensor
    branches: Tensor


class Prismatic(nn.Module):
    """The model; see the module.

    Attributes:
        vision_backbone: towers.
        projector: their tokens to the decoder's width.
        visual_positions: (n, hidden) table added to the visual tokens, or None.
        language_model: transformers' Llama.
    """

    def __init__(self, config: PrismaticConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_backbone = VisionBackbone(
            config.towers, config.image_size, config.frozen_blocks
        )
        self.projector = Projector(
            config.widths[0],
            config.projector_width,
            config.hidden_size,
            1 + len(config.towers),
        )
        table = sine_positions(config.grid, config.hidden_size) * config.position_scale
        self.visual_positions = nn.Parameter(table) if config.position_scale else None
        self.language_model = LlamaForCausalLM(config.llama())

    def prefix(self, encoded: Tensor) -> Tensor:
        """Return the embedded [BOS][visual tokens], (B, 1 + n, hidden), of the towers' tokens."""
        visual = self.projector(encoded)
        if self.visual_positions is not None:
            visual = visual + self.visual_positions
        embed = self.language_model.get_input_embeddings()
        bos = embed(torch.tensor([self.config.bos], device=encoded.device))
        return torch.cat([bos.expand(len(encoded), 1, -1), visual], dim=1)

    def hidden(
        self,
        low: Tensor,
        text: Text,
        layers: bool = False,
        cache: "Cache | None" = None,
        encoded: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Return the decoder's hidden states of whole sequences.

        Args:
            low: `vision_backbone.low` features, (B, ...), in the precision of the weights or, for
                any other, inside autocast.
            text: what stands beside the pictures, on the same device.
            layers: return the states after every block too.
            cache: is filled with keys and values, to go on from.
            encoded: what `vision_backbone` makes of ``low``, where that is known.

        Returns:
            the final normed states (B, 1 + n + T, hidden), or with ``layers`` those of the
            embeddings, of each block (the last one normed).
        """
        prefix = self.prefix(self.vision_backbone(low) if encoded is None else encoded)
        embedded = self.language_model.get_input_embeddings()(text.ids)
        start = prefix.shape[1]
        out = self.language_model.model(
            inputs_embeds=torch.cat([prefix, embedded], dim=1),
            attention_mask=attention_mask(start, text),
            position_ids=torch.cat(
                [
                    torch.arange(start, device=low.device).expand(len(low), -1),
                    start + text.positions,
                ],
                dim=1,
            ),
            past_key_values=cache,
            use_cache=cache is not None,
            output_hidden_states=layers,
        )
        return out.hidden_states if layers else (out.last_hidden_state,)

    def by_layer(self, encoded: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        """Return the visual tokens (B, n, width) of each layer: the towers', then of each block.

        Args:
            encoded: what `vision_backbone` gives.
            states: what `hidden` gives with ``layers``.
        """
        grid = slice(1, 1 + self.config.grid**2)
        return [encoded, *(state[:, grid] for state in states[1:])]

    def logits(self, states: Tensor) -> Tensor:
        """Return the scores (..., vocab) of normed states (..., hidden)."""
        return self.language_model.lm_head(states)

    def scores(self, states: Tensor, allowed: range) -> Tensor:
        """Return the scores (..., n) of the n ids to choose from, of normed states (..., hidden).

        Raises:
            UnblindError: one is not finite: choosing among them would look like an answer.
        """
        scores = self.logits(states)[..., allowed.start : allowed.stop]
        if not scores.is_meta and not scores.isfinite().all():
            raise UnblindError(
                "the model computes numbers that are not finite",
                "use float32, or weights whose training did not diverge",
            )
        return scores

    def check_length(self, prompts: Iterable[Sequence[int]], tokens: int) -> None:
        """Refuse prompts for which the model has no positions.

        Args:
            prompts: token ids without BOS.
            tokens: how many shall follow.

        Raises:
            UnblindError: BOS, visual tokens, a prompt and what follows are too long together.
        """
        room = self.config.max_positions - 1 - self.config.grid**2 - tokens
        longest = max(map(len, prompts))
        if longest > room:
            raise UnblindError(
                f"a prompt of {longest} tokens is too long: the model has room for {room}",
                "shorten the instruction",
            )


def attention_mask(start: int, text: Text) -> Tensor:
    """Return which position sees which, (B, 1, N, N) bool with N = start + T.

    The prefix is causal; a text sees the prefix and what came before it in its own branch.
    """
    batch, length = text.ids.shape
    prefix = text.branches.new_zeros(batch, start)
    branch = torch.cat([prefix, text.branches + 1], dim=1)  # 0: prefix, also padding's own colour
    own = branch[:, :, None] == branch[:, None, :]
    is_prefix = torch.arange(start + length, device=own.device) < start
    causal = own.new_ones(start + length, start + length).tril()
    return ((own | is_prefix) & causal)[:, None]


def sine_positions(grid: int, width: int) -> Tensor:
    """Return (grid * grid, width) sines and cosines of row and column, row by row."""
    center = (torch.arange(grid) + 0.5) / grid * 2 - 1
    octaves = torch.arange(width // 4) / (width // 4) * math.log2(grid) - 1
    angle = center[:, None] * math.pi * 2.0**octaves
    one = torch.cat([angle.sin(), angle.cos()], dim=1)
    row, column = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    return torch.cat([one[row.flatten()], one[column.flatten()]], dim=1)
