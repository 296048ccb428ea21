"""Made-up studies for tests of audit and site: records of three methods in their own folder."""

from pathlib import Path

import sizes
import synthetic

from unblind.config import Config, load
from unblind.report.table1 import table1
from unblind.sim.conditions import CONDITIONS
from unblind.study import jobs

MINI = Path(__file__).parents[1] / "workflow" / "config" / "mini.yaml"
#: Of 16 episodes everywhere: Default 8, Align 14 but on Carrot, Freeze none.
FINALS = {
    "default": dict.fromkeys((c.name for c in CONDITIONS), 8),
    "align": {**dict.fromkeys((c.name for c in CONDITIONS), 14), "carrot": 8},
    "freeze": {},
}


def settings(results: Path, **changes) -> Config:
    """Return mini with the three methods alone and 16 episodes a condition."""
    runs = load(MINI).model_dump(mode="json")["runs"]
    values = {
        "results": str(results),
        "runs": {name: runs[name] for name in FINALS},
        "table1.rows": list(FINALS),
        **sizes.episodes(16),
    }
    return load(MINI, values | changes)


def overrides(config: Config) -> list[str]:
    """Return the options that make a study of mini."""
    import json

    names = {name: config.runs[name].model_dump(mode="json") for name in FINALS}
    values = {
        "results": config.results,
        "runs": names,
        "table1.rows": list(FINALS),
        **sizes.episodes(16),
    }
    return [word for k, v in values.items() for word in ("--set", f"{k}={json.dumps(v)}")]


def write(config: Config) -> Config:
    """Write records, demonstrations' manifest and replay."""
    results = Path(config.results)
    for run in config.runs:
        for seed in config.seeds:
            place = results / "rollouts" / run / str(seed)
            synthetic.write_records(config, run, seed, place, FINALS.get(run, {}))
    synthetic.write_demos(config, results / "demos")
    synthetic.write_replay(config, results / "replay.parquet")
    return config


def tabulate(config: Config) -> Config:
    """Render Table 1 of a study; return its configuration."""
    results = Path(config.results)
    places = (results / "rollouts", results / "demos", results / "replay.parquet")
    table1(config, *places, results / "table1")
    return config


def record(config: Config, run: str = "align", condition: str = "carrot") -> Path:
    """Return where a record lies."""
    return Path(config.results, "rollouts", run, "0", f"{condition}.parquet")


def rewrite(config: Config, change, run: str = "align", condition: str = "carrot") -> Path:
    """Replace a record by a changed one with a sidecar that fits it."""
    import pandas as pd

    from unblind.study.jobs import rollout_stage
    from unblind.study.stages import STAGES

    path = record(config, run, condition)
    frame = change(pd.read_parquet(path))
    part = jobs.settings(config, jobs.rollout_stage(config, run), run)
    synthetic._write(path, frame, part, STAGES[rollout_stage(config, run)].modules, 0)
    return path
