"""Twins: tiny random checkpoints with the files, names and layouts of published ones.

With them every command of the paper's scale can be tried on any machine, without a download.
"""

from collections.abc import Callable
from pathlib import Path

from unblind import folders
from unblind.errors import UnblindError

#: Kinds of the vision-language-action model's side; the teachers' are in `unblind.twin.teachers`,
#: those of models that only answer in `unblind.twin.answerers`.
_MODELS = ("openvla", "prismatic", "openvla-lora")
_TEACHERS = ("radio", "dinov2", "siglip", "theia")
_ANSWERERS = ("qwen2.5-vl", "internvl", "paligemma")
KINDS = (*_MODELS, *_TEACHERS, *_ANSWERERS)


def make(kind: str, folder: Path | str, seed: int = 0) -> Path:
    """Write a twin; nothing is left behind if that fails.

    Args:
        kind: one of `KINDS`.
        folder: must not exist, or be empty.
        seed: of the weights; the same seed gives the same bytes.

    Returns:
        the folder.

    Raises:
        UnblindError: there is no such twin, or the folder holds something or cannot be written.
    """
    if kind not in KINDS:
        raise UnblindError(f"there is no twin '{kind}'", f"choose one of {', '.join(KINDS)}")
    folder = Path(folder)
    with folders.new(folder) as temporary:
        _maker(kind)(temporary, seed)
    return folder


def _maker(kind: str) -> Callable[[Path, int], None]:
    if kind in _MODELS:
        from unblind.twin.openvla import TWINS

        return TWINS[kind]
    if kind in _ANSWERERS:
        from unblind.twin.answerers import ANSWERER_TWINS

        return ANSWERER_TWINS[kind]
    from unblind.twin.teachers import TEACHER_TWINS

    return TEACHER_TWINS[kind]
