"""Writing what a page consists of: texts and figures, each with its sidecar."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from unblind.config import Config
from unblind.files import write_text
from unblind.report import figures
from unblind.study import jobs, provenance
from unblind.study.stages import STAGES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_page(
    config: Config, stage: str, path: Path, content: "str | Figure", inputs: Iterable[Path]
) -> Path:
    """Write what a stage has rendered, with its sidecar, and return its path.

    Args:
        config: the study.
        stage: name of the page's stage, whose settings and modules the sidecar tells.
        path: of the file.
        content: a text, or a figure, which becomes a PNG.
        inputs: files that were read.

    Raises:
        UnblindError: the disk is full or the folder cannot be written.
    """
    settings, code = jobs.settings(config, stage), STAGES[stage].modules
    with provenance.record(path, config=settings, code=code, inputs=inputs):
        if isinstance(content, str):
            write_text(path, content)
        else:
            figures.save(content, path)
    return path
