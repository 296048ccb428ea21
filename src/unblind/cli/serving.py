"""The command that lets others ask our policies."""

from typing import Annotated

import typer

from unblind.cli.options import MINI, ConfigFile, Overrides, RunSeed, load_config
from unblind.serving.address import LOOPBACK, PORT, Address

app = typer.Typer()


@app.command()
def serve(
    run: Annotated[str, typer.Option(help="A run of the configuration.")],
    seed: RunSeed = 0,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="TCP port; 0: one that is free.")
    ] = PORT,
    host: Annotated[
        str, typer.Option(help="Where to listen; nothing is encrypted, and anybody may ask.")
    ] = LOOPBACK,
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Let others ask a run's policy for actions, over a WebSocket, until the command is ended."""
    settings = load_config(config, override)
    from unblind.serving.ours import policy_server

    with policy_server(settings, run, seed, Address(host, port)) as server:
        print(f"{run}, seed {seed}, acts at {server.address}; Ctrl-C ends it", flush=True)
        server.serve()
