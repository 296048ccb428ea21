"""What a model still answers as its training goes on: the curve of forgetting."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from unblind.training import evaluate
from unblind.vla.checkpoint import Checkpoint

RECORD = evaluate.RECORD.insert(0, pa.field("step", pa.int32()))
"""One row an answer of the model at a step, as `evaluate.RECORD` has it; step 0 is the base."""


def record(
    models: Mapping[int, Callable[[], Checkpoint]], folder: Path, pictures: int, unit: float
) -> pa.Table:
    """Return the answers of models to all questions of the first pictures, as `RECORD`.

    Args:
        models: by step, what loads the model.
        folder: of a question set with held-out pictures.
        pictures: of each split.
        unit: expected CPU-seconds a picture.

    Raises:
        UnblindError: pictures are missing or unreadable, or a model cannot be loaded.
    """
    tables = []
    for step, load in models.items():
        answers = evaluate.record(load(), folder, pictures, blind=False, unit=unit)
        tables.append(
            answers.add_column(0, RECORD.field(0), pa.array([step] * len(answers), pa.int32()))
        )
    return pa.concat_tables(tables)
