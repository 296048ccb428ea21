"""Constants of the published sizes, counted by hand."""

from pathlib import Path

from unblind.config import load
from unblind.costs.paper_scale import CONSTANTS, policy_calls

PAPER = Path(__file__).parents[2] / "workflow" / "config" / "paper.yaml"
TOWERS, REST, LORA = 730_911_680, 6_810_325_504, 110_828_288
VALUE = {one.name: one.value for one in CONSTANTS}


def vit(width, mlp, blocks, layer_scale):
    """Parameters of a ViT for 16 x 16 patches of 14 x 14 pixels, up to its last norm."""
    attention = 4 * width**2 + 4 * width
    block = attention + 2 * width * mlp + mlp + width + 4 * width + 2 * width * layer_scale
    return blocks * block + (3 * 14**2 + 1) * width + 256 * width + 2 * width


def test_the_parameters_are_those_of_openvla():
    # A class token and four registers; an attention pool with its own latent, norm and MLP.
    dinov2 = vit(1024, 4096, 24, 1) + 5 * 1024
    pool = 1152 + 4 * 1152**2 + 4 * 1152 + 2 * 1152 + 2 * 1152 * 4304 + 4304 + 1152
    assert VALUE["P_towers"] == dinov2 + vit(1152, 4304, 27, 0) + pool == TOWERS
    projector = 2177 * 8704 + 8705 * 4096 + 4097 * 4096
    llama = 6_738_415_616 + 2 * 64 * 4096  # Llama 2 and 64 more ids
    assert VALUE["P_rest"] == projector + llama == REST
    # The published weights are 15,082,474,368 bytes of bfloat16.
    assert 2 * (TOWERS + REST) == 15_082_474_368
    assert VALUE["T"] == 1 + VALUE["T_image"] + 24 + 7
    assert VALUE["D_token"] == 32 * 4096 * 2 * 2


def test_the_adapters_and_projector_are_counted_as_released():
    parts = (79_953_920, 12_582_912, 15_399_936, 607_232, 1_019_904, 1_157_120, 107_264)
    assert VALUE["P_lora"] == sum(parts) == LORA
    assert VALUE["P_align"] == 2 * 4096 + 4097 * 2048 + 2049 * 2048 + 2049 * 1024


def test_policy_calls():
    paper = load(PAPER)
    assert policy_calls(paper, conditions=13) == 13 * 8 * 128 * 80 == 1_064_960
