"""Serving a run of a study: a trained adapter, the base, OpenVLA, or a scripted policy."""

from dataclasses import replace

from unblind.config import Config, digest
from unblind.errors import UnblindError
from unblind.files import sha256
from unblind.rollout.factory import make_policy
from unblind.rollout.trained import model_files
from unblind.serving.address import Address
from unblind.serving.conventions import Conventions
from unblind.serving.server import PolicyServer


def policy_server(config: Config, run: str, seed: int, address: Address) -> PolicyServer:
    """Return a server of a run's policy; what it sends are the actions of `unblind rollout`.

    Args:
        config: the whole configuration.
        run: one of ``config.runs``, but no planner.
        seed: of its training, and of its random numbers.
        address: where it listens.

    Raises:
        UnblindError: the run is unknown, not trained, served itself, or needs the simulator's
            state; or nobody may listen there.
    """
    found = model_files(config, run, seed)
    policy = make_policy(config, run, seed)
    if policy is None:
        cause = f"run '{run}' acts by the simulator's state, which no server sees"
        raise UnblindError(cause, "serve a model, or 'random' or 'noop'")
    conventions = Conventions()
    if not policy.needs_images:
        conventions = replace(conventions, picture_format=None, instruction=None)
    weights = f" {digest([sha256(path) for path in found])[:12]}" if found else ""
    return PolicyServer(policy, f"unblind {run} seed {seed}{weights}", conventions, address)
