"""The commands of the paper's scale: twins of published checkpoints, and asking OpenVLA."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unblind import twin as twins
from unblind.cli.options import AsJson

app = typer.Typer()
Kind = StrEnum("Kind", [(name, name) for name in twins.KINDS])


@app.command()
def twin(
    kind: Annotated[Kind, typer.Argument(help="What the checkpoint is a twin of.")],
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the weights.")] = 0,
) -> None:
    """Write a tiny random checkpoint in the layout of a published one."""
    print(twins.make(kind.value, folder, seed))


@app.command()
def openvla(
    model: Annotated[str, typer.Argument(help="A folder, or owner/name@commit of the hub.")],
    image: Annotated[Path, typer.Argument(help="A picture of any size.")],
    instruction: Annotated[str, typer.Argument(help="For instance 'put carrot on plate'.")],
    unnorm_key: Annotated[
        str | None, typer.Option(help="Data set whose action statistics hold.")
    ] = None,
    adapter: Annotated[
        str | None, typer.Option(help="LoRA adapters to merge: a folder or owner/name@commit.")
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0, help="0: greedy; 0.6: as the release evaluates.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of sampling.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Print the action that OpenVLA-7B takes for a picture and an instruction."""
    from unblind.rollout.picture import read_picture
    from unblind.rollout.predict import ask, check_instruction
    from unblind.vla import checkpoint, lora
    from unblind.vla.decode import Sampling
    from unblind.vla.loading import check_device
    from unblind.vla.policy import Policy

    picture = read_picture(image)
    check_instruction(instruction)
    loaded = checkpoint.load(model, check_device(device))
    if adapter is not None:
        lora.merge(lora.load_adapter(loaded.model, adapter))
    sampling = Sampling(temperature) if temperature else None
    policy = Policy(loaded, unnorm_key, sampling, width=1)
    answer = ask(policy, picture, instruction, (seed,))
    print(json.dumps(answer.to_json(), indent=2) if as_json else answer)
