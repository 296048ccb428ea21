"""Operations by formula against PyTorch's own counter, and against the published sizes by hand."""

import models
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from unblind.align.objective import Objective
from unblind.config import load
from unblind.teachers import registry, vit
from unblind.teachers.loading import load_teacher
from unblind.teachers.networks import NETWORKS
from unblind.training import throughput
from unblind.training.feed import Inputs
from unblind.training.losses import Learner, TokenLoss
from unblind.training.meter import peak
from unblind.vla import checkpoint, lora
from unblind.vla.batch import Turn, collate
from unblind.vla.prismatic import PrismaticConfig

PROMPT, RANK, ANSWER = 20, 4, 8
SHAPE = throughput.Shape(visual=256, text=PROMPT + ANSWER - 1, answers=ANSWER)


@pytest.mark.parametrize("vision", [True, False])
def test_the_formula_is_what_pytorch_counts(root, vision):
    loaded = checkpoint.load(root / "openvla", dtype=torch.float32)
    wanted = throughput.training(loaded.model, SHAPE, RANK, vision)
    lora.add_lora(loaded.model, vision=vision, seed=0, rank=RANK, alpha=RANK)
    turn = Turn.of(tuple(range(100, 100 + PROMPT)), [31800] * (ANSWER - 1))
    pixels = torch.randn(2, 6, 224, 224, generator=torch.Generator().manual_seed(0))
    inputs, words = Inputs(pixels, collate([[turn], [turn]]), None), loaded.vocabulary
    learner = Learner(loaded.model, lambda step, part: inputs, TokenLoss(words, 0, 0), words)
    # The plain implementation: others recompute attention in the backward pass.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        loss, _ = learner(0, 0)
        loss.backward()
    sizes = loaded.model.config
    angles = 2 * SHAPE.tokens * (sizes.hidden_size // sizes.heads // 2)
    assert 2 * (wanted + angles) == counter.get_total_flops()


def test_the_forward_pass_of_the_published_sizes():
    with torch.device("meta"):
        model = models.Prismatic(PrismaticConfig(**models.OPENVLA))
    n = 1 + 256 + 27
    decoder = 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    head, projector = 4096 * 32064, 2176 * 8704 + 8704 * 4096 + 4096**2
    dino = 23 * 12 * 1024**2
    siglip = 26 * (4 * 1152**2 + 2 * 1152 * 4304)
    patches = 3 * 14 * 14 * (1024 + 1152)
    matrices = decoder * n + head * 8 + (projector + siglip + patches) * 256 + dino * 261
    attention = 32 * n * n * 4096 + 23 * 261**2 * 1024 + 26 * 256**2 * 1152
    assert throughput.forward(model, SHAPE) == 2 * matrices + 4 * attention
    # A LoRA step costs about twice the forward pass: frozen weights have no gradient of their own.
    step = throughput.training(model, SHAPE, rank=32, vision=True)
    assert step / throughput.forward(model, SHAPE) == pytest.approx(2.07, abs=0.02)


def test_a_teachers_operations_are_what_pytorch_counts(root):
    teacher = load_teacher("c-radiov3-l", str(root / "radio"))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        teacher.features(torch.rand(2, 3, 224, 224), 16)
    assert 2 * throughput.watching(teacher, 256) == counter.get_total_flops()


def test_what_align_adds_at_the_published_sizes(request):
    paper = load(request.config.rootpath / "workflow" / "config" / "paper.yaml")
    row = registry.row("c-radiov3-l")
    with torch.device("meta"):
        net = NETWORKS["radio"].build(row.sizes)
    teacher = vit.frozen("c-radiov3-l", row, net, {})
    objective = Objective(paper.training.align, 0, 32, 4096, 1024)
    blocks, attention = 24 * 12 * 1024**2, 24 * 4 * 264**2 * 1024
    patches, projector = 3 * 16 * 16 * 1024, 4096 * 2048 + 2048**2 + 2048 * 1024
    wanted = 2 * 264 * blocks + attention + 2 * 256 * (patches + 2 * projector)
    assert throughput.alignment(objective, teacher, 256) == wanted


def test_peaks_of_known_devices():
    assert peak("NVIDIA H200") == peak("NVIDIA H100 80GB HBM3") == 989.4e12
    assert peak("NVIDIA H100 PCIe") == 756e12
    assert peak("NVIDIA A100-SXM4-80GB") == 312e12
    assert peak("cpu") is None
