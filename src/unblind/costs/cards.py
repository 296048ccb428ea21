"""What fits on a GPU of a given size, and what several processes cost: by formula, not measured."""

from dataclasses import dataclass

from unblind.costs.need import hours
from unblind.costs.paper_scale import (
    PARAMETERS,
    VALUES,
    fixed_memory,
    picture_memory,
    trained_picture,
)

#: Bytes of the cards of the table: what a data sheet calls 24, 40 and 80 GB.
CARDS = (24e9, 40e9, 80e9)
#: The paper's batch and steps.
BATCH, STEPS = 8, 60_000
#: Links between GPUs, each with its constant.
LINKS = {"NVLink": "B_nvlink", "PCIe 4.0": "B_pcie", "10 Gb/s Ethernet": "B_ethernet"}
_LARGEST = 64


@dataclass(frozen=True)
class Fit:
    """What a card holds.

    Attributes:
        card: its bytes.
        eight_bit: whether the frozen base takes one byte a weight (not offered here: a what-if).
        checkpointing: whether activations are computed twice instead of kept.
        default, align: pictures of the largest batch of a training; 0: none fits.
        two: the largest batch with which a training of each fits at the same time.
    """

    card: float
    eight_bit: bool
    checkpointing: bool
    default: int
    align: int
    two: int


def fits() -> list[Fit]:
    """Return the table: every card with every way to save memory."""
    return [
        _fit(card, eight_bit, checkpointing)
        for card in CARDS
        for eight_bit in (False, True)
        for checkpointing in (False, True)
    ]


def _fit(card: float, eight_bit: bool, checkpointing: bool) -> Fit:
    fixed = {name: fixed_memory(name, 1 if eight_bit else 2) for name in ("default", "align")}
    picture = picture_memory(checkpointing)
    default, align = (max(0, int((card - fixed[name]) // picture)) for name in fixed)
    two = max(0, int((card - sum(fixed.values())) // (2 * picture)))
    return Fit(card, eight_bit, checkpointing, default, align, two)


def calls(card: float) -> int:
    """Return how many pictures a call of the policy may have in rollouts on a card."""
    return max(0, int((card - 2 * PARAMETERS) // (VALUES["T"] * VALUES["D_token"])))


def step_seconds(method: str, gpus: int = 1, checkpointing: bool = False) -> float:
    """Return the seconds of computing of a step of the paper's batch, shared by so many GPUs.

    Checkpointing computes each block's forward pass once more: 2 operations a weight beside 4.
    """
    share = VALUES["peak"] * VALUES["u_train"] * gpus
    return (1.5 if checkpointing else 1) * BATCH * trained_picture(method) / share


def all_reduce_seconds(gpus: int, link: str) -> float:
    """Return the seconds in which so many GPUs add up the float32 gradients of the adapters.

    Each sends and receives 2 (n - 1) / n of their bytes in a ring.
    """
    return 4 * VALUES["P_lora"] * 2 * (gpus - 1) / gpus / VALUES[LINKS[link]]


def markdown() -> str:
    """Return both tables, as the page of costs and ``docs/gpu.md`` show them."""
    lines = [
        "| card | base | checkpointing | largest batch: Default | Align | one of each at once |",
        "|--:|:--|:--|--:|--:|--:|",
    ]
    for one in fits():
        base = "8-bit (what if)" if one.eight_bit else "bfloat16"
        sizes = (_batch(n) for n in (one.default, one.align, one.two))
        way = "on" if one.checkpointing else "off"
        lines.append(f"| {one.card / 1e9:.0f} GB | {base} | {way} | {' | '.join(sizes)} |")
    lines += [
        "",
        "| GPUs | link (assumed) | computing a step | all-reduce | share | 60,000 steps |",
    ]
    lines.append("|--:|:--|--:|--:|--:|--:|")
    return "\n".join([*lines, *(_row(gpus, link) for gpus in (2, 4, 8) for link in LINKS)])


def _batch(pictures: int) -> str:
    return f"{_LARGEST} and more" if pictures >= _LARGEST else str(pictures or "-")


def _row(gpus: int, link: str) -> str:
    own, sent = step_seconds("align", gpus), all_reduce_seconds(gpus, link)
    share, whole = 100 * sent / (own + sent), hours(STEPS * (own + sent))
    times = f"{1000 * own:.0f} ms | {1000 * sent:.1f} ms | {share:.1f} %"
    return f"| {gpus} | {link} | {times} | {whole} h |"
