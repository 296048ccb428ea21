"""The full-size model runs, without memory: shapes agree and everything stays on one device."""

import pytest
import torch
from unblind.openvla import checkpoint
from unblind.openvla.decode import Sampling, decode
from unblind.openvla.sequence import pad_left, run

from unblind.errors import UnblindError


def test_a_batch_of_two_goes_through(full_size):
    """A tensor left on the CPU would stop it: torch does not mix it with the meta device."""
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(2, device="meta") + torch.ones(2)
    pixels = torch.empty(2, 6, 224, 224, device="meta", dtype=torch.bfloat16)
    prompts = pad_left([[3] * 20, [3] * 34], 32000, "meta")
    out = run(full_size, pixels, prompts, layers=True)
    assert out.last_hidden_state.shape == (2, 257 + 34, 4096)
    assert out.hidden_states[16].shape == (2, 257 + 34, 4096)
    assert out.last_hidden_state.dtype == torch.bfloat16
    numbers = torch.zeros(2, 2, dtype=torch.float64)
    tokens = decode(full_size, pixels, prompts, 2, range(31744, 32000), Sampling(), numbers)
    assert tokens.shape == (2, 2) and tokens.is_meta


def test_its_weights_need_15_gigabytes(full_size):
    size = sum(weight.nbytes for weight in full_size.parameters())
    assert size == 2 * 7_541_237_184


def test_unknown_devices_are_one_error():
    assert checkpoint.check_device("cpu").type == "cpu"
    for device in ("quantum", "cuda:77", "meta"):
        with pytest.raises(UnblindError, match=f"cannot use device '{device}'"):
            checkpoint.check_device(device)
