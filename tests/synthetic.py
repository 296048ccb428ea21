"""Made-up artifacts with sidecars: a whole study's records in a second, without a simulator."""

from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from unblind import png
from unblind.config import Config
from unblind.files import atomic_path, sha256, write_json
from unblind.sim.conditions import CONDITIONS
from unblind.sim.success import MILESTONES
from unblind.study import jobs, provenance, record_names
from unblind.study.rows.names import RUN_FILES, THINK_DOMAINS
from unblind.study.stages import STAGES


def write_records(
    config: Config,
    run: str,
    seed: int,
    folder: Path,
    finals: dict[str, int],
    inputs=(),
    rules=("rollout", "arms"),
):
    """Write the records that are missing; `finals` says how many episodes end in success.

    Those in which a model is told something else are among them, unless ``rules`` says so.
    """
    stage = jobs.rollout_stage(config, run)
    names = [condition.name for condition in CONDITIONS if "rollout" in rules]
    if config.runs[run].policy == "vla" and "arms" in rules:
        names += record_names.arms(config)
    for name in names:
        condition = record_names.condition_of(name)
        made_by = "arms" if name != condition else stage
        part, code = jobs.settings(config, made_by, run), STAGES[made_by].modules
        # One at least told something else: no record has the bytes of another.
        path, final = folder / f"{name}.parquet", finals.get(name, int(name != condition))
        if not provenance.is_current(path, config=part, code=code, seed=seed, inputs=inputs):
            wanted = config.of(run).rollout.count(condition)
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


#: What made-up runs were looked at: pictures, sites and steps.
SITES = ("tower", "projector", "block 1", "block 2")
LOOKED_AT = ("held out", "demonstrations")


def drift_frame(drift: float, steps, pictures: int = 3) -> pd.DataFrame:
    """Return drift that grows with the steps and from site to site, up to ``drift`` at the last.

    Intervals reach 0.01 to both sides; demonstrations drift twice as far.
    """
    rows = []
    for step in steps:
        for factor, name in enumerate(LOOKED_AT, 1):
            for place, site in enumerate(SITES, 1):
                share = factor * drift * step / steps[-1] * place / len(SITES)
                told = {"step": step, "pictures": name, "site": site, "n": pictures}
                for measure, value in (("cka", 1 - share), ("cosine", 1 - share / 2)):
                    told |= {measure: value}
                    told |= {f"{measure}_low": value - 0.01, f"{measure}_high": value + 0.01}
                rows.append(told)
    return pd.DataFrame(rows)


def write_drift(config: Config, run: str, seed: int, drift=0.2, lost=0.3, folder=None, inputs=()):
    """Write records of drift and forgetting unless they stand.

    At the last step ``drift`` of CKA is gone at the last site, and ``lost`` of the right answers.
    """
    job = jobs.Job(config, "drift", run, seed)
    last = job.config.training.schedule.steps
    steps = (0, last // 2, last)
    asked = [
        answers_frame(
            {kind: share * (1 - lost * step / last) for kind, share in RIGHT.items()},
            config.drift.answered,
        ).assign(step=step)
        for step in steps
    ]
    frames = (drift_frame(drift, steps), pd.concat(asked, ignore_index=True))
    made_from = {"config": job.settings, "code": job.stage.modules, "inputs": inputs}
    for path, frame in zip(job.outputs, frames, strict=True):
        path = Path(folder, run, path.name) if folder else path
        if not provenance.is_current(path, **made_from):
            with provenance.record(path, **made_from), atomic_path(path) as place:
                frame.to_parquet(place)


def write_gradients(config: Config, run: str, seed: int, cosine=-0.1, similarity=0.4, inputs=()):
    """Write two batches of 24 frames, 0.1 below and above these means, unless they stand."""
    off = np.array([-0.1, 0.1])
    frame = pd.DataFrame(
        {
            "batch": [0, 1],
            "n": 24,
            "action": 2.0,
            "alignment": -similarity,
            "similarity": similarity + off,
            "cosine": cosine + off,
            "action_norm": 1.0,
            "alignment_norm": 1.0,
        }
    )
    _write_all(jobs.Job(config, "gradients", run, seed), (frame,), inputs)


#: Corners of the made-up plane: how much of both changes, x and y.
CORNERS = {"base": (0, 0), "default": (1, 0), "align": (0, 1)}


def _plane(a: float, b: float) -> dict[str, float]:
    return {"first": a, "second": b, "x": 2 * a + b, "y": 1.0 * b, "off": 0.0}


def landscape_frames(config: Config) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a made-up landscape of 2 x 2 points on the grid, and one point between two corners.

    The action loss of frame k is k at the three models and 1 more between them, the alignment
    loss -a/2 - b, and of 40 questions of one kind 30 are answered right everywhere.
    """
    runs, last = config.landscape.runs, config.training.schedule.steps
    corners = dict(zip(("base", *runs), CORNERS.values(), strict=True))
    points = []
    for start, end in (("base", runs[0]), ("base", runs[1]), tuple(runs)):
        for t in (0.0, 0.5, 1.0):
            a, b = ((1 - t) * p + t * q for p, q in zip(corners[start], corners[end], strict=True))
            points.append({"part": "edge", "name": f"{start} to {end}", "t": t, **_plane(a, b)})
    for y in (0.0, 1.0):
        points += [{"part": "grid", "name": "", **_plane((x - y) / 2, y)} for x in (0.0, 2.0)]
    for run in runs:
        points += [
            {"part": "path", "name": run, "step": step} | _plane(*(share * c for c in corners[run]))
            for step, share in ((0, 0.0), (last // 2, 0.5), (last, 1.0))
        ]
    columns = ("part", "name", "t", "step", "first", "second", "x", "y", "off")
    table = pd.DataFrame(points, columns=columns).rename_axis("point").reset_index()
    values = []
    for point in table[table["part"] != "path"].itertuples():
        between = point.part == "edge" and point.t == 0.5
        for item in range(config.landscape.edge_frames):
            shared = {"point": point.point, "item": item, "kind": ""}
            aligned = -point.first / 2 - point.second
            values.append(shared | {"measure": "action loss", "value": float(item + between)})
            values.append(shared | {"measure": "alignment loss", "value": aligned})
        for item in range(40):
            shared = {"point": point.point, "item": item, "kind": "see"}
            values.append(shared | {"measure": "answers", "value": float(item < 30)})
    return table, pd.DataFrame(values)


def write_landscape(config: Config, inputs=()):
    """Write the records of a made-up landscape unless they stand."""
    job = jobs.Job(config, "landscape")
    made_from = {"config": job.settings, "code": job.stage.modules, "inputs": inputs}
    for path, frame in zip(job.outputs, landscape_frames(config), strict=True):
        if not provenance.is_current(path, **made_from):
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


def named_board_frame(known: int, layers: int) -> pd.DataFrame:
    """Return 3 boards each of 8 frames of 2 domains, read in the second half of the blocks.

    There, of ``known`` frames of each domain all three boards are read right; else always 'left'.
    """
    places = ["left", "center", "right"]
    rows = []
    for site in ("embedding", *(f"block {n + 1}" for n in range(layers))):
        late = site != "embedding" and int(site.split()[1]) > layers // 2
        for domain in ("shape", "weather"):
            for number in range(8):
                reads = late and number < known
                rows += [
                    {"domain": domain, "episode_id": number, "style": "seen", "site": site}
                    | {"place": place, "guess": place if reads else "left"}
                    | {"right": reads or place == "left", "all_right": reads}
                    for place in places
                ]
    return pd.DataFrame(rows)


def write_probes(
    job: jobs.Job, inputs=(), right=None, folder: Path | None = None, off_cm=1.0, known=4
):
    """Write the records of a job of probes: of a model, or of all references.

    With a folder, those of visual tokens alone.
    """
    sites, home = job.config.base.model.sites, Path(job.config.results, "probe")
    for path in job.outputs:
        alone = "teacher" if job.name == "probe_teacher" else path.stem
        own = (alone,) if alone in ("teacher", "pixels") else sites
        frame = probe_frame(right or READ, own, off_cm)
        if not path.is_relative_to(home):
            frame = named_board_frame(known, len(sites) - 2)
        elif folder is not None:
            path = folder / path.relative_to(home)
        if folder is None or path.is_relative_to(folder):
            made_from = {**vars(job.origin), "inputs": inputs}
            with provenance.record(path, **made_from), atomic_path(path) as place:
                frame.to_parquet(place)


def write_adapter(config: Config, run: str, seed: int, inputs=()):
    """Write the files of a trained run, of no use beside names and checksums, unless they stand."""
    folder, told = jobs.run_folder(config, run, seed), {"training_seed": seed}
    settings, code = jobs.settings(config, "training", run), STAGES["training"].modules
    made_from = {"config": settings, "code": code, "seed": seed, "inputs": inputs}
    weights, *others = (folder / name for name in RUN_FILES)
    if config.run(run).method == "align":
        others.append(folder / "projector.safetensors")
    if provenance.is_current(weights, **made_from):
        return
    with provenance.record(weights, **made_from, extra={"run_details": told}):
        write_json(weights, made_from["config"])
        for path in others:
            identity = {"adapter_sha256": sha256(weights)} if path.stem == "identity" else {}
            write_json(path, told | identity if path.name != "run.json" else told)


def write_frames(config: Config):
    """Write two files in the place of frames with masks."""
    job = jobs.Job(config, "frames")
    for path in job.outputs:
        made_from = {"config": job.settings, "code": job.stage.modules, "seed": job.seed}
        with provenance.record(path, **made_from):
            write_json(path, {"name": path.name})


#: Frames of made-up attention: 2 conditions, 3 episodes each, 2 frames of an episode.
SEEN_FRAMES = pd.DataFrame(
    {
        "frame": np.arange(12),
        "condition": ["carrot"] * 6 + ["plate"] * 6,
        "episode_id": np.arange(12) // 2,
        "moment": ["start", "grasp"] * 6,
    }
)
#: Their target's share of the picture.
AREA = 0.05


def attention_frame(lift: float) -> pd.DataFrame:
    """Return attention at 2 layers; at the second, the target gets ``lift`` times its share.

    One frame of an episode gets 0.1 more, the other 0.1 less; at the first layer maps are even.
    """
    frames = []
    for prompt in ("action", "question"):
        for variant in ("raw", "divided"):
            for layer in (1, 2):
                own = 1.0 if layer == 1 else lift + 0.1 * (-1) ** SEEN_FRAMES["frame"]
                raw = variant == "raw"
                columns = {"prompt": prompt, "variant": variant, "layer": layer, "target_lift": own}
                columns |= {"target": AREA * own, "entropy": 0.9, "sink": 0.2, "plate_lift": 1.0}
                columns |= {"distractor_lift": np.nan, "robot_lift": 0.5}
                columns["visual"] = 0.6 if raw else np.nan
                some = SEEN_FRAMES.assign(**columns)
                # The second head looks twice as much.
                heads = [[x * 2 / 3, x * 4 / 3] if raw else None for x in some["target"]]
                frames.append(some.assign(target_by_head=heads))
    return pd.concat(frames, ignore_index=True)


def maps_frame() -> pd.DataFrame:
    """Return maps of 2 x 2 tokens of two frames, even but for the first token."""
    picture = np.full((48, 64, 3), 100, np.uint8)
    mask = np.zeros_like(picture)
    mask[10:20, 10:20] = 255
    rows = [
        {
            "frame": frame,
            "condition": condition,
            "object": "carrot",
            "image": png.encode(picture),
            "target": png.encode(mask),
            "prompt": prompt,
            "variant": "raw",
            "layer": layer,
            "map": [0.4, 0.2, 0.2, 0.2],
        }
        for frame, condition in ((0, "carrot"), (6, "plate"))
        for prompt in ("action", "question")
        for layer in (1, 2)
    ]
    return pd.DataFrame(rows)


def knockout_frame(cost: float) -> pd.DataFrame:
    """Return losses of 2.0, plus ``cost`` if the target is hidden at the second layer.

    As many other tokens cost a tenth of that.
    """
    arms = [("nothing", "", 0)]
    arms += [
        (hidden, mode, layer)
        for hidden in ("target", "elsewhere", "picture")
        for mode in ("only", "from")
        for layer in (1, 2)
    ]
    costs = {"nothing": 0.0, "target": cost, "elsewhere": cost / 10, "picture": 2 * cost}
    frames = []
    for task in ("action", "where"):
        for hidden, mode, layer in arms:
            counts = layer == 2 or mode == "from"
            added = costs[hidden] * counts * (1 + 0.1 * (-1) ** SEEN_FRAMES["frame"])
            columns = {"task": task, "hidden": hidden, "mode": mode, "layer": layer}
            columns |= {"loss": 2.0 + added, "right": 0.5 if hidden == "nothing" else 0.25}
            frames.append(SEEN_FRAMES.assign(**columns))
    return pd.concat(frames, ignore_index=True)


def write_attention(config: Config, run: str, seed: int, lift=1.5, cost=1.0, inputs=()):
    """Write the three records of a model's attention unless they stand."""
    frames = (attention_frame(lift), maps_frame(), knockout_frame(cost))
    _write_all(jobs.Job(config, "attention", run, seed), frames, inputs)


def write_knockout(config: Config, run: str, seed: int, inputs=(), successes=None):
    """Write the records of a model that cannot see the target, unless they stand.

    Args:
        successes: by what is hidden, of how many of the first episodes; else with nothing hidden
            of all, with as many other tokens of half of them, of none with the target hidden.
    """
    job, n = jobs.Job(config, "knockout", run, seed), config.knockout.episodes
    known = {"nothing": n, "elsewhere": n // 2} if successes is None else successes
    for path in job.outputs:
        frame = episodes(run, seed, config.knockout.condition, n, known.get(path.stem, 0))
        made_from = {"config": job.settings, "code": job.stage.modules, "seed": seed}
        if not provenance.is_current(path, **made_from, inputs=inputs):
            frame = frame.assign(hidden=path.stem)
            _write(path, frame, job.settings, job.stage.modules, seed, inputs)


def collapse_frame(config: Config, silhouette: float) -> pd.DataFrame:
    """Return 8 pictures of each class at each layer; of half of them neighbours are right."""
    settings, frames = config.collapse, []
    pictures = pd.DataFrame({"frame": np.arange(8 * len(settings.classes))})
    pictures["episode_id"] = pictures["frame"]
    pictures["class"] = [name for name in settings.classes for _ in range(8)]
    even = pictures["frame"] % 2
    for tokens in ("object", "picture", "prompt", "released"):
        for layer in settings.layers:
            own = silhouette + 0.01 * (-1.0) ** even
            columns = {"tokens": tokens, "layer": layer, "silhouette": own, "right": even == 0}
            columns |= {"overlap": 0.2 + 0.2 * even, "x": pictures["frame"] * 1.0, "y": layer * 1.0}
            frames.append(pictures.assign(**columns))
    return pd.concat(frames, ignore_index=True)


def write_collapse(config: Config, run: str, seed: int, silhouette=0.2, inputs=()):
    """Write a record of classes' separation unless it stands."""
    frame = collapse_frame(config, silhouette)
    _write_all(jobs.Job(config, "collapse", run, seed), (frame,), inputs)


def _write_all(job: jobs.Job, frames, inputs):
    for path, frame in zip(job.outputs, frames, strict=True):
        part, code = job.settings, job.stage.modules
        if not provenance.is_current(path, config=part, code=code, inputs=inputs):
            _write(path, frame, part, code, None, inputs)


class CrewStandIn:
    """Takes the place of the worker processes; subclasses say in ``run`` how episodes end."""

    def __init__(self, setup, n_workers, policy):
        self.policy = policy

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


# ---- VL-Think -----------------------------------------------------------------------------------


def write_think(config: Config, run: str, seed: int, folder: Path, inputs=(), right=(1, 2)):
    """Write a record of each domain; ``right``: ids at rest and in hand on the right board."""
    stage = jobs.stage_of(config, "think", run)
    part, code = jobs.settings(config, stage, run), STAGES[stage].modules
    for domain in THINK_DOMAINS:
        path = folder / run / str(seed) / f"{domain}.parquet"
        frame = think_frame(right).assign(run=run, domain=domain)
        if not provenance.is_current(path, config=part, code=code, seed=seed, inputs=inputs):
            _write(path, frame, part, code, seed, inputs)


def think_frame(right: tuple[int, int]) -> pd.DataFrame:
    """Four ids, each at rest and in hand; three end on some board, every second is grasped."""
    rows = [
        {
            "episode_id": number,
            "style": "seen",
            "swapped": False,
            "in_hand": bool(held),
            "grasped": number % 2 == 0,
            "answered": number < 3,
            "right": number < min(right[held], 3),
            "place": "left",
            "first_entered": "left" if number == 0 else "right",
        }
        for held in (0, 1)
        for number in range(4)
    ]
    return pd.DataFrame(rows)


def write_think_frames(config: Config):
    """Write frames that show nothing."""
    job = jobs.Job(config, "think_frames")
    _write(job.outputs[0], pd.DataFrame({"image": [b""]}), job.settings, job.stage.modules, None)


def write_think_answers(config: Config, run: str, seed: int, folder: Path, inputs=(), yes=True):
    """Write answers about one frame a domain: always yes or always no; the left place is known."""
    rows = [
        {
            **{"domain": domain, "episode_id": 0, "style": "seen", "kind": kind, "board": board},
            **{"right": right, "blind": False, "run": run, "seed": seed},
        }
        for domain in THINK_DOMAINS
        for board in range(3)
        for kind, right in (("present", yes), ("absent", not yes), ("where", board == 0))
    ]
    stage = STAGES["think_answers"]
    part = jobs.settings(config, "think_answers", run)
    path = folder / run / f"{seed}.parquet"
    _write(path, pd.DataFrame(rows), part, stage.modules, None, inputs)
