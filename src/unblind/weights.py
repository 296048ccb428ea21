"""Files of weights: safetensors in one file or in shards, read and written in one way.

Names and shapes are read from the files' headers and compared before a single number is, so
that another model's checkpoint is refused in a moment, however large it is. Numbers are refused
if they are not finite, or not floating-point numbers of 16 bits or more.
"""

import json
import math
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unblind.errors import UnblindError
from unblind.files import atomic_path, refuse_pointer

if TYPE_CHECKING:
    from torch import Tensor

#: What a checkpoint's weights and their list are called on the hub.
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
#: Patterns for `hub.fetch`.
PATTERNS = ("model*.safetensors", INDEX)
#: What published files say of their tensors in the header; transformers and PEFT want it.
TORCH: Mapping[str, str] = {"format": "pt"}
_SAFE = ".safetensors"
_DTYPES = ("float64", "float32", "float16", "bfloat16")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".tar")
_LARGEST_INDEX = 64 * 2**20  # bytes; OpenVLA's has 982 names in 90 kB
_NAMED = 3  # how many differences an error names

Shape = tuple[int, ...]


def files(folder: Path, name: str = SINGLE) -> list[Path]:
    """Return the files of weights of a checkpoint, in the order of their names.

    Args:
        folder: of the checkpoint.
        name: of the only file, where there is one.

    Raises:
        UnblindError: there are none, a shard is missing, the index is unreadable or names files
            elsewhere, or the weights are pickles, which run code when they are read.
    """
    folder = Path(folder)
    index = f"{name}.index.json"
    if (folder / name).is_file():
        return [folder / name]
    if (folder / index).is_file():
        return _shards(folder / index)
    pickles = sorted(path.name for path in folder.glob("*") if path.suffix in _PICKLES)
    if pickles:
        raise UnblindError(
            f"{folder} holds weights as pickles only ({', '.join(pickles[:_NAMED])}), "
            "which can run code when they are read",
            "use the repository's safetensors, or convert them where you trust the file",
        )
    others = sorted(path.name for path in folder.glob(f"*{_SAFE}"))
    beside = f", only {', '.join(others[:_NAMED])}" if others else ""
    raise UnblindError(
        f"no {name} in {folder}{beside}", f"it must hold {name}, or {index} and its shards"
    )


def shapes(paths: list[Path]) -> dict[str, Shape]:
    """Return name -> shape of all tensors, from the headers alone.

    Raises:
        UnblindError: a file is truncated or no safetensors, or two files hold the same name.
    """
    by_name: dict[str, Shape] = {}
    for path in paths:
        with _opened(path) as handle:
            for name in handle.keys():
                if name in by_name:
                    raise UnblindError(f"{name} is twice in {path.parent}", _AGAIN)
                by_name[name] = tuple(handle.get_slice(name).get_shape())
    return by_name


def tensors(
    paths: list[Path], names: Container[str] | None = None, device: str = "cpu"
) -> Iterator[tuple[str, "Tensor"]]:
    """Yield name and tensor, one after the other, in the precision of the files.

    Args:
        paths: from `files`.
        names: read these names alone; None reads all.
        device: where the tensors go, without a copy of the whole file in memory.

    Raises:
        UnblindError: a file is truncated or no safetensors, or see `check_numbers`.
    """
    for path in paths:
        with _opened(path, device) as handle:
            for name in handle.keys():
                if names is None or name in names:
                    tensor = handle.get_tensor(name)
                    check_numbers(name, tensor, path)
                    yield name, tensor


def check_numbers(name: str, tensor: "Tensor", where: object) -> None:
    """Refuse a tensor that holds no weights: another kind of numbers, or some that are not finite.

    Raises:
        UnblindError: it is so; the tensor and the file are named.
    """
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in _DTYPES:
        raise UnblindError(
            f"{where}: {name} is {dtype}, not one of {', '.join(_DTYPES)}",
            "use weights that are not quantised",
        )
    # Smallest and largest number are NaN if any is.
    if tensor.numel() and not all(math.isfinite(extreme) for extreme in tensor.aminmax()):
        raise UnblindError(
            f"{where}: {name} holds numbers that are not finite",
            "fetch or make the file again; if it was always so, its training diverged",
        )


def save(
    path: Path, tensors: "Mapping[str, Tensor]", metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors atomically as one safetensors file, in their own precision.

    Args:
        path: file to write.
        tensors: name -> tensor, on any device and in any memory layout.
        metadata: texts for the file's header.

    Raises:
        UnblindError: the disk is full or the folder cannot be written.
    """
    from safetensors.torch import save_file

    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(stored, temporary, None if metadata is None else dict(metadata))


def check(
    expected: Mapping[str, Shape],
    actual: Mapping[str, Shape],
    where: object,
    remedy: str,
    unused: Callable[[str], bool] = lambda name: False,
) -> None:
    """Compare a checkpoint's names and shapes with those of a model.

    Args:
        expected: the model's.
        actual: the checkpoint's.
        where: the checkpoint, for the message.
        remedy: what the user can do about a difference.
        unused: tells which names may be there although the model has no use for them.

    Raises:
        UnblindError: they differ; the first three differing names and their number are given.
    """
    problems = [f"{name} is missing" for name in expected if name not in actual]
    problems += [f"{n} is unknown" for n in actual if n not in expected and not unused(n)]
    problems += [
        f"{name} has shape {actual[name]}, not {shape}"
        for name, shape in expected.items()
        if name in actual and actual[name] != shape
    ]
    if problems:
        more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        cause = f"{where} holds another model: {'; '.join(problems[:_NAMED])}{more}"
        raise UnblindError(cause, remedy)


_AGAIN = "fetch the checkpoint again"


def _shards(index: Path) -> list[Path]:
    try:
        if index.stat().st_size > _LARGEST_INDEX:
            raise ValueError("too large")
        table = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(table.values()))
        if not names or any(Path(n).name != n or not n.endswith(_SAFE) for n in names):
            raise ValueError("its weight_map names no safetensors file next to it")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnblindError(f"{index} is unreadable: {error}", _AGAIN) from None
    paths = [index.parent / name for name in names]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        lost = [name for name, file in table.items() if file in missing]
        raise UnblindError(
            f"{len(missing)} of {len(paths)} files of weights are missing in {index.parent}: "
            f"{', '.join(missing[:_NAMED])}, with {', '.join(lost[:_NAMED])}"
            + (f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""),
            "fetch them, they belong to the same commit",
        )
    return paths


def _opened(path: Path, device: str = "cpu") -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        refuse_pointer(path)
        return safe_open(path, framework="pt", device=device)
    except (SafetensorError, OSError) as error:
        raise UnblindError(f"{path} is no readable file of weights: {error}", _AGAIN) from None
