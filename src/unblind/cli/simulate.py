"""The commands that run the simulator: demonstrations, replay, rollouts."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from unblind import locks
from unblind.cli.options import MINI, ConfigFile, Overrides, RunSeed, Workers, load_config
from unblind.config import Config, DemoSet
from unblind.custody import carried
from unblind.errors import UnblindError
from unblind.files import write_json
from unblind.serving.address import ACTION_S, Address
from unblind.study import jobs
from unblind.study.rows.names import MANIFEST

app = typer.Typer()


@app.command()
def demos(
    config: ConfigFile = MINI,
    override: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Folder of shards and manifest.")] = None,
    which: Annotated[
        DemoSet, typer.Option("--set-of", help="training, pretraining or warm-up.")
    ] = "training",
    workers: Workers = None,
) -> None:
    """Collect the planner's demonstrations; an interrupted call is continued."""
    settings = load_config(config, override)
    from unblind.demos.collect import collect

    out = out or jobs.demos_folder(settings, which)
    with locks.alone(out / MANIFEST):
        collect(settings, out, workers or settings.rollout.workers, which)


@app.command()
def survey(
    config: ConfigFile = MINI,
    override: Overrides = None,
    attempts: Annotated[int, typer.Option(min=1, help="Attempts for each of 16 objects.")] = 40,
    out: Annotated[Path | None, typer.Option(help="Result file (JSON).")] = None,
    workers: Workers = None,
) -> None:
    """Count how often the planner succeeds at the first try, and where it fails."""
    settings = load_config(config, override)
    from unblind.demos import collect

    counts = collect.survey(settings, attempts, workers or settings.rollout.workers)
    write_json(out or Path(settings.results, "survey.json"), counts)
    for name, row in counts["by_object"].items():
        print(f"{name:<16} {row['successes']:>3}/{row['attempts']:<3} {row['failures'] or ''}")
    print(f"{'all':<16} {counts['successes']:>3}/{counts['attempts']}")


@app.command()
def replay(
    config: ConfigFile = MINI,
    override: Overrides = None,
    demos: Annotated[Path | None, typer.Option(help="Folder of demonstrations.")] = None,
    out: Annotated[Path | None, typer.Option(help="Record file.")] = None,
    workers: Workers = None,
) -> None:
    """Execute stored demonstrations open loop, raw and tokenised: the ceiling of any policy."""
    settings = load_config(config, override)
    from unblind.steps.replaying import replay as run_replay

    demos, out = demos or jobs.demos_folder(settings), out or carried.own_replay(settings)
    run_replay(settings, demos, out, workers or settings.rollout.workers)


@app.command()
def rollout(
    run: Annotated[str, typer.Option(help="A run of the configuration.")],
    out: Annotated[Path | None, typer.Option(help="Folder, one file a condition.")] = None,
    seed: RunSeed = 0,
    config: ConfigFile = MINI,
    override: Overrides = None,
    condition: Annotated[
        list[str] | None, typer.Option(help="Only this condition or record; may be repeated.")
    ] = None,
    arms: Annotated[
        bool,
        typer.Option(
            "--arms",
            help="Tell a model something else on the same episodes (rollout.arms), such as the "
            "other object of MultiCarrot: one that hears instructions then leaves the right one "
            "alone.",
        ),
    ] = False,
    knockout: Annotated[
        bool,
        typer.Option(
            "--knockout",
            help="Hide the target's visual tokens from the model's text and actions, in all "
            "layers, in either half of them, and as many others (section knockout).",
        ),
    ] = False,
    trajectories: Annotated[
        bool,
        typer.Option(
            "--trajectories",
            help="Keep every control step: action, poses of gripper and object, success.",
        ),
    ] = False,
    policy_server: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Who acts for a run with the policy 'served', e.g. ws://127.0.0.1:8700.",
        ),
    ] = None,
    server_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds that the server may take for an action.")
    ] = ACTION_S,
    workers: Workers = None,
) -> None:
    """Evaluate a policy in closed loop; conditions whose record is current are not repeated."""
    settings = load_config(config, override).of(run)
    served = settings.run(run).policy == "served"
    if arms + knockout + trajectories + served > 1:
        hint = "--arms, --knockout, --trajectories, --policy-server"
        raise typer.BadParameter("choose one of them", param_hint=hint)
    if served != (policy_server is not None):
        raise _unanswered(run, served)
    evaluate, folder = _evaluation(settings, run, arms, knockout, trajectories)
    if policy_server is not None:
        from unblind.serving import evaluation

        address = Address.read(policy_server)
        evaluate = partial(evaluation.rollout, address=address, action_s=server_timeout)
    out = out or folder / run / str(seed)
    with locks.alone(out / "arms" if arms else out):
        evaluate(settings, run, seed, out, condition or None, workers or settings.rollout.workers)


def _unanswered(run: str, served: bool) -> UnblindError:
    """Return the error of a server that is missing, or one too many."""
    if served:
        cause = f"nobody acts for run '{run}': its policy is 'served'"
        return UnblindError(cause, "start its server, and name it: --policy-server ADDRESS")
    cause = f"run '{run}' acts by itself: only runs with the policy 'served' have a server"
    return UnblindError(cause, "add such a run to the configuration")


def _evaluation(
    config: Config, run: str, arms: bool, knockout: bool, trajectories: bool
) -> tuple[Callable[..., None], Path]:
    """Return what evaluates a run, and the folder of its records."""
    results, stop = Path(config.results), config.rollout.stop_early
    if knockout:
        from unblind.steps.knocking_out import knock_out

        return knock_out, results / "knockout-rollouts"
    if trajectories:
        from unblind.rollout import trajectories as with_steps

        return with_steps.rollout, results / "trajectories"
    if stop and run != stop.against and not arms:
        from unblind.steps.comparing import compare

        return compare, jobs.stopped_folder(config, stop.against)
    from unblind.rollout.run import rollout

    return partial(rollout, rule="arms") if arms else rollout, results / "rollouts"


@app.command()
def think(
    run: Annotated[str | None, typer.Option(help="A run of the configuration.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder, one file a domain.")] = None,
    seed: RunSeed = 0,
    config: ConfigFile = MINI,
    override: Overrides = None,
    domain: Annotated[
        list[str] | None, typer.Option(help="Only this domain; may be repeated.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Write a PNG with a first frame of each domain instead.")
    ] = None,
    workers: Workers = None,
) -> None:
    """VL-Think: let a policy put the carrot on the board that the instruction names."""
    settings = load_config(config, override)
    if (run is None) == (sheet is None):
        raise typer.BadParameter("name a run, or a picture to write", param_hint="--run, --sheet")
    if sheet is not None:
        from unblind.think.sheet import write_sheet

        write_sheet(sheet, settings)
        return
    from unblind.rollout.thinking import think as evaluate

    out = out or Path(settings.results, "think", run, str(seed))
    with locks.alone(out):
        evaluate(settings, run, seed, out, domain or None, workers or settings.rollout.workers)
