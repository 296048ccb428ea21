"""Made-up artifacts with sidecars: a whole study's records in a second, without a simulator."""

from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from unblind.config import Config
from unblind.files import atomic_path, sha256, write_json
from unblind.sim.conditions import CONDITIONS
from unblind.sim.success import MILESTONES
from unblind.study import jobs, provenance, stages
from unblind.study.stages import STAGES, TOLD_OTHER


def write_records(
    config: Config,
    run: str,
    seed: int,
    folder: Path,
    finals: dict[str, int],
    inputs=(),
    rules=("rollout", "told_other"),
):
    """Write the records that are missing; `finals` says how many episodes end in success.

    Those in which a model is told of the other thing are among them, unless ``rules`` says so.
    """
    stage = jobs.rollout_stage(config, run)
    holds = {condition.name: condition.name for condition in CONDITIONS if "rollout" in rules}
    holds |= TOLD_OTHER if config.runs[run].policy == "vla" and "told_other" in rules else {}
    for name, condition in holds.items():
        made_by = "told_other" if name in TOLD_OTHER else stage
        part, code = jobs.settings(config, made_by, run), STAGES[made_by].modules
        # One at least told of the other thing: no record has the bytes of another.
        path, final = folder / f"{name}.parquet", finals.get(name, int(name in TOLD_OTHER))
        if not provenance.is_current(path, config=part, code=code, seed=seed, inputs=inputs):
            wanted = config.rollout.count(condition)
            frame = episodes(run, seed, condition, wanted, final)
            _write(path, frame, part, code, seed, inputs)


def episodes(run: str, seed: int, condition: str, n: int, final: int) -> pd.DataFrame:
    """The first `final` episodes end in success, one more is a success at some step.

    Stages are reached in those that end in success.
    """
    index = np.arange(n)
    return pd.DataFrame(
        {
            "run": run,
            "seed": seed,
            "condition": condition,
            "episode_id": 1000 * seed + index,
            "success_any": index <= final if final else np.zeros(n, dtype=bool),
            "success_final": index < final,
            **dict.fromkeys(MILESTONES, index < final),
            "steps": 80,
        }
    )


def write_demos(config: Config, folder: Path):
    """Write a manifest: one attempt in four failed."""
    path, successes = folder / "manifest.json", config.demos.successes
    made_from = {"config": jobs.settings(config, "demos"), "code": STAGES["demos"].modules}
    with provenance.record(path, **made_from, seed=config.seed):
        values = {
            "attempts": successes * 4 // 3,
            "successes": successes,
            "frames": {"raw": 9000, "kept": 4000},
            "noop_filter": config.demos.noop_filter,
        }
        write_json(path, values)


def write_replay(config: Config, path: Path, inputs=()):
    """Write a replay in which everything works raw, and one episode fails tokenised."""
    n = config.replay.episodes
    frame = pd.DataFrame(
        {
            "episode_id": np.arange(n),
            "raw_success": np.ones(n, dtype=bool),
            "tokenised_success": np.arange(n) > 0,
        }
    )
    _write(
        path, frame, jobs.settings(config, "replay"), STAGES["replay"].modules, config.seed, inputs
    )


def leave_out(config: Config, path: Path, run: str, lacking: dict[int, list[str]]):
    """Write a record again without these episodes, as if files had been missing for them."""
    frame, meta = pd.read_parquet(path), provenance.read(path)
    left = frame[~frame["episode_id"].isin(list(lacking))]
    extra = meta["extra"] | {"not_run": {str(number): files for number, files in lacking.items()}}
    _write(
        path,
        left,
        jobs.settings(config, jobs.rollout_stage(config, run), run),
        meta["code"],
        meta["seed"],
        extra=extra,
    )


def _write(
    path: Path,
    frame: pd.DataFrame,
    part: dict,
    code: tuple[str, ...],
    seed: int,
    inputs=(),
    extra=None,
):
    made_from = {"config": part, "code": code, "seed": seed, "inputs": inputs, "extra": extra}
    with provenance.record(path, **made_from), atomic_path(path) as place:
        frame.to_parquet(place)


def write_base(folder: Path):
    """Write the files of a base that says nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "statistics.json"):
        write_json(folder / name, {"name": name})
    for name in ("model.safetensors", "vlm.safetensors"):
        save_file({"weights": np.zeros(100, np.float32)}, folder / name)


def tiny_base(folder: Path):
    """Write a base that computes: a model of two small decoder layers on 4 x 4 visual tokens."""
    import models

    from unblind.vla import checkpoint

    statistics = models.STATISTICS.to_json()
    checkpoint.save(folder, models.small(), models.VOCABULARY, statistics)


def write_features(path: Path, part: dict, stage: str, inputs=()):
    """Write a file in the place of features."""
    with provenance.record(path, config=part, code=STAGES[stage].modules, inputs=inputs):
        write_json(path, part)


def write_held_out(config: Config):
    """Write a manifest of held-out pictures, of no use beside its name and checksum."""
    job = jobs.Job(config, "held_out")
    made_from = {"config": job.told_settings, "code": job.stage.modules, "seed": job.seed}
    with provenance.record(job.outputs[0], **made_from):
        write_json(job.outputs[0], {"shards": {}})


def answers_frame(right: dict, pictures: int, blind: bool = False) -> pd.DataFrame:
    """Return answers to two kinds of question about each of some pictures of both splits.

    Args:
        right: by kind and name's owner, such as ``("see", "study")``, the share of pictures of
            which the question is answered right, the first ones.
        pictures: of each split.
        blind: whether every second blind answer is right; otherwise none was given.
    """
    rows = [
        {
            "split": split,
            "picture": picture,
            "kind": kind,
            "names": names,
            "right": picture < share * pictures,
            "blind": picture % 2 == 0 if blind else None,
        }
        for split in ("heldout", "style")
        for picture in range(pictures)
        for (kind, names), share in right.items()
    ]
    return pd.DataFrame(rows)


#: What made-up models answer.
RIGHT = {("see", "study"): 0.8, ("see", "extra"): 0.6, ("where", "study"): 0.5}


def write_answers(config: Config, run: str, seed: int, folder: Path, right=None, inputs=()):
    """Write a record of answers unless it stands."""
    job = jobs.Job(config, "answers", run, seed)
    path = Path(folder, run, f"{seed}.parquet")
    made_from = {"config": job.settings, "code": job.stage.modules, "inputs": inputs}
    if provenance.is_current(path, **made_from):
        return
    blind = config.run(run).method is None
    frame = answers_frame(right or RIGHT, config.answers.pictures, blind)
    with provenance.record(path, **made_from), atomic_path(path) as place:
        frame.to_parquet(place)


def write_probe_pictures(config: Config):
    """Write a manifest of the probes' pictures, of no use beside its name and checksum."""
    job = jobs.Job(config, "probe_pictures")
    with provenance.record(job.outputs[0], **vars(job.origin)):
        write_json(job.outputs[0], {"shards": {}})


#: Names of made-up pictures of each task, and how many pictures each name has.
PROBED = {"icons": ("anchor", "bell", "cat", "dog"), "portraits": ("carrot", "plate")}
PROBED |= {"stills": ("carrot", "cup")}
VIEWS = 10


def probe_frame(right: dict, sites: tuple[str, ...], off_cm: float = 1.0) -> pd.DataFrame:
    """Return the guesses about made-up pictures, ten a name and site.

    Args:
        right: by task the share named right, the first pictures of every name.
        sites: of the model.
        off_cm: by how much distances are guessed too long; heights by half of it; columns by 10 %
            of the width.
    """
    rows = [
        {
            "task": task,
            "look": "still" if task == "stills" else "line",
            "site": site,
            "picture": VIEWS * number + view,
            "name": name,
            "guess": name if view < right[task] * VIEWS else "nothing",
            **(
                {"row": 0.5, "column": 0.1 * view, "distance_cm": 50.0 + view, "height_cm": 2.0}
                | {"guessed_row": 0.5, "guessed_column": 0.1 * view + 0.1}
                | {"guessed_distance_cm": 50.0 + view + off_cm, "guessed_height_cm": 2 + off_cm / 2}
                if task == "stills"
                else {}
            ),
        }
        for task, names in PROBED.items()
        for site in sites
        for number, name in enumerate(names)
        for view in range(VIEWS)
    ]
    return pd.DataFrame(rows)


#: What made-up probes name right.
READ = {"icons": 0.5, "portraits": 0.8, "stills": 0.6}


def write_probes(job: jobs.Job, inputs=(), right=None, folder: Path | None = None, off_cm=1.0):
    """Write the records of a job of probes: of a model, or of all references."""
    sites = job.config.base.model.sites
    for path in job.outputs:
        path = path if folder is None else folder / path.relative_to(f"{job.config.results}/probe")
        own = (path.stem,) if path.stem in ("teacher", "pixels") else sites
        made_from = {**vars(job.origin), "inputs": inputs}
        with provenance.record(path, **made_from), atomic_path(path) as place:
            probe_frame(right or READ, own, off_cm).to_parquet(place)


def write_adapter(config: Config, run: str, seed: int, inputs=()):
    """Write the files of a trained run, of no use beside names and checksums, unless they stand."""
    folder, told = jobs.run_folder(config, run, seed), {"training_seed": seed}
    settings, code = jobs.settings(config, "training", run), STAGES["training"].modules
    made_from = {"config": settings, "code": code, "seed": seed, "inputs": inputs}
    weights, *others = (folder / name for name in stages.RUN_FILES)
    if config.run(run).method == "align":
        others.append(folder / "projector.safetensors")
    if provenance.is_current(weights, **made_from):
        return
    with provenance.record(weights, **made_from, extra={"run_details": told}):
        write_json(weights, made_from["config"])
        for path in others:
            identity = {"adapter_sha256": sha256(weights)} if path.stem == "identity" else {}
            write_json(path, told | identity if path.name != "run.json" else told)


class CrewStandIn:
    """Takes the place of the worker processes; subclasses say in ``run`` how episodes end."""

    def __init__(self, setup, n_workers, policy):
        self.policy = policy

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass
