"""``features.json``: what the records of a TFDS data set hold, by path.

A feature of the steps has a path such as ``steps/observation/image``; a record has it under that
name, with the values of all steps in one list.

Source: TensorFlow Datasets' feature.proto in its JSON form.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

_PACKAGE = "tensorflow_datasets.core.features"
#: Name of the feature whose values are those of the steps.
STEPS = "steps"


class Leaf(NamedTuple):
    """One feature.

    Attributes:
        kind: ``image``, ``text`` or ``tensor``.
        dtype: of a tensor or picture, as NumPy names it; "string" for text.
        shape: of one value; -1 where it varies.
        encoding: of a picture, ``png`` or ``jpeg``.
    """

    kind: str
    dtype: str
    shape: tuple[int, ...] = ()
    encoding: str = ""


def flatten(node: Mapping[str, Any], path: str = "") -> dict[str, Leaf]:
    """Return all features below a node of features.json; what is of an unknown kind is left out.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is no such document.
    """
    if "featuresDict" in node:
        parts = node["featuresDict"].get("features", {}).items()
        leaves = (flatten(part, f"{path}/{name}" if path else name) for name, part in parts)
        return {name: leaf for found in leaves for name, leaf in found.items()}
    if "sequence" in node:
        return flatten(node["sequence"]["feature"], path)
    for kind in ("image", "text", "tensor"):
        if kind in node:
            return {path: _leaf(kind, node[kind])}
    return {}


def _leaf(kind: str, values: Mapping[str, Any]) -> Leaf:
    shape = tuple(int(size) for size in values.get("shape", {}).get("dimensions", ()))
    dtype = "string" if kind == "text" else values.get("dtype", "uint8")
    return Leaf(kind, dtype, shape, values.get("encodingFormat", ""))


def document(leaves: Mapping[str, Leaf]) -> dict[str, Any]:
    """Return the content of features.json for these features."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *parents, name = path.split("/")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[name] = leaf
    return _node(tree)


def _node(part: Leaf | dict[str, Any], name: str = "") -> dict[str, Any]:
    if isinstance(part, Leaf):
        return _described(part)
    inside = {
        "pythonClassName": f"{_PACKAGE}.features_dict.FeaturesDict",
        "featuresDict": {"features": {key: _node(value, key) for key, value in part.items()}},
    }
    if name != STEPS:
        return inside
    return {
        "pythonClassName": f"{_PACKAGE}.dataset_feature.Dataset",
        "sequence": {"feature": inside, "length": "-1"},
    }


def _described(leaf: Leaf) -> dict[str, Any]:
    shape = {"dimensions": [str(size) for size in leaf.shape]} if leaf.shape else {}
    if leaf.kind == "text":
        return {"pythonClassName": f"{_PACKAGE}.text_feature.Text", "text": {}}
    if leaf.kind == "image":
        values = {"shape": shape, "dtype": leaf.dtype, "encodingFormat": leaf.encoding}
        return {"pythonClassName": f"{_PACKAGE}.image_feature.Image", "image": values}
    name = "tensor_feature.Tensor" if leaf.shape else "scalar.Scalar"
    values = {"shape": shape, "dtype": leaf.dtype, "encoding": "none"}
    return {"pythonClassName": f"{_PACKAGE}.{name}", "tensor": values}
