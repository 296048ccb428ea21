"""Hiding visual tokens from a text: masks that hold while a model runs, whole or token by token."""

import contextlib
from collections.abc import Callable, Iterator

from torch import Tensor, nn

from unblind.errors import UnblindError
from unblind.vla.prismatic import Prismatic


@contextlib.contextmanager
def hiding(model: Prismatic, hidden: Callable[[int], Tensor]) -> Iterator[None]:
    """Hide visual tokens from the text, and from what is decoded after it, while the model runs.

    Visual tokens still see each other.

    Args:
        model: any.
        hidden: gives for a layer (from 1) which visual tokens each position of the text cannot
            see, (B, T, n) bool, or all of its positions, (B, 1, n). Pictures of a batch beyond
            these B, which only fill it, hide nothing.

    Raises:
        UnblindError: while it runs: a batch has fewer pictures than B.
    """

    def hide(layer: int) -> Callable:
        def change(_: nn.Module, args: tuple, inputs: dict) -> tuple[tuple, dict]:
            unseen, mask = hidden(layer), inputs["attention_mask"].clone()
            rows, _, tokens = unseen.shape
            if len(mask) < rows:
                cause = f"{rows} masks for a batch of {len(mask)}"
                raise UnblindError(cause, "give as many masks as pictures in a batch")
            # Queries are the last positions: in decoding the new token alone.
            before = mask.shape[3] - mask.shape[2]
            text = max(1 + tokens - before, 0)
            mask[:rows, 0, text:, 1 : 1 + tokens] &= ~unseen.to(mask.device)
            return args, inputs | {"attention_mask": mask}

        return change

    with contextlib.ExitStack() as stack:
        for layer, block in enumerate(model.language_model.model.layers, 1):
            hook = block.register_forward_pre_hook(hide(layer), with_kwargs=True)
            stack.callback(hook.remove)
        yield
