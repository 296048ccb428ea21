"""Checks of the released demonstrations and training: labels, tokens, projectors, folders."""

from itertools import count
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from unblind.align.objective import Objective
from unblind.align.projectors import MLP, make_projector
from unblind.audit.defect_outcome import Outcome, by_name
from unblind.config import Alignment, Config
from unblind.demos import labels
from unblind.demos.manifests import action_statistics
from unblind.study.jobs import run_folder
from unblind.training.loop import Schedule
from unblind.vla.tokens import ActionNormalizer, ActionTokenizer

# Sizes of the toy models: decoder, projector, teacher.
_WIDTH, _HIDDEN, _TEACHER = 8, 6, 4


def euler_order_differs() -> Outcome:
    """Write one turn of 0.2 rad into an action by either rule; the controller reads it."""
    meant = Rotation.from_rotvec([0.12, -0.10, 0.124])  # rad, about what a planned step turns
    errors = []
    for order in ("xyz", "XYZ"):
        actions = np.zeros((2, 7))
        actions[0, 3:6] = meant.as_euler(order)
        read = Rotation.from_quat(labels.controller_targets(actions)[1, 3:], scalar_first=True)
        errors.append(np.degrees((read * meant.inv()).magnitude()))
    text = f"a turn of {np.degrees(meant.magnitude()):.1f} degrees is executed " + "{:.2f} off"
    return Outcome(*map(text.format, errors), shown=errors[0] > 0.1 and errors[1] < 1e-6)


def noop_filter_loses_motion() -> Outcome:
    """Sum the labels of a descent that speeds up and slows down, as planned paths do."""
    actions = np.zeros((10, 7))
    actions[:, 2] = np.array([-2, -5, -8, -12, -15, -15, -12, -8, -5, -2]) / 1000  # m
    planned = -actions[:, 2].sum()
    rules = ("released", "merge")
    kept = [-labels.apply(rule, actions, actions).chain()[:, 2].sum() for rule in rules]
    text = f"of {1000 * planned:.0f} mm of descent the labels hold " + "{:.0f} mm"
    lost = [planned - length for length in kept]
    return Outcome(
        *(text.format(1000 * length) for length in kept), shown=lost[0] > 0.01 > abs(lost[1])
    )


def constant_gripper_zeroed() -> Outcome:
    """Normalise demonstrations in which the gripper always stays open (+1)."""
    actions = np.random.default_rng(0).normal(0, 0.02, (100, 7))
    actions[:, 6] = 1.0
    normalizer = ActionNormalizer.from_json(action_statistics(actions), "made up")
    grips = [normalizer.normalize(actions, rule)[0, 6] for rule in ("released", "corrected")]
    text = "the command +1 (open) becomes {:+.0f}"
    return Outcome(*map(text.format, grips), shown=grips[0] != 1 and grips[1] == 1)


def equal_quantiles_divide_by_epsilon() -> Outcome:
    """Normalise a dimension whose 1 % and 99 % quantiles are both 0, with one outlier."""
    actions = np.random.default_rng(0).normal(0, 0.02, (1000, 7))
    actions[:, 1] = 0.0
    actions[0, 1] = 1e-6
    normalizer = ActionNormalizer.from_json(action_statistics(actions), "made up")
    rules = ("released", "corrected")
    ends = [normalizer.normalize(actions, rule)[:2, 1] for rule in rules]
    text = "one micrometre more than 0 is {:+.0f}, and 0 is {:+.0f}"
    jumps = [float(np.ptp(pair)) for pair in ends]
    return Outcome(*(text.format(*pair) for pair in ends), shown=jumps[0] == 2 and jumps[1] == 0)


def float32_bin_edges() -> Outcome:
    """Tokenise every inner edge of the action bins, stored in 32 and in 64 bits."""
    tokenizer = ActionTokenizer()
    edges = tokenizer.edges[1:-1]
    exact = tokenizer.vocab_size - np.arange(2, tokenizer.bins)
    narrow = edges.astype(np.float32)
    moved = [int((tokenizer.encode(values) != exact).sum()) for values in (narrow, edges)]
    text = "{} of " + f"{len(edges)} values on a bin's edge get the neighbour's id"
    return Outcome(*map(text.format, moved), shown=moved[0] > 0 and moved[1] == 0)


def projector_not_in_optimizer() -> Outcome:
    """Take one optimiser step with a trainable projector, given to the optimiser or not."""
    moved, total = [], 0
    for given in (False, True):
        align = _alignment(1, frozen=False)
        objective = Objective(align, 0, [_WIDTH] * 3, _TEACHER).eval()  # no dropout: no generator
        decoder = make_projector("mlp", _WIDTH, _HIDDEN, _WIDTH, seed=1, frozen=False).eval()
        before = nn.utils.parameters_to_vector(objective.parameters()).detach().clone()
        parameters = [*decoder.parameters(), *(objective.parameters() if given else ())]
        optimizer = torch.optim.AdamW(parameters, lr=5e-4)
        tokens, teacher = _made_up(2, 3, _WIDTH), _made_up(2, 3, _TEACHER)
        visual = [tokens, decoder(tokens)]
        objective(torch.zeros(()), visual, teacher).total.backward()
        optimizer.step()
        after = nn.utils.parameters_to_vector(objective.parameters()).detach()
        moved.append(int((after != before).sum()))
        total = len(before)
    text = "{} of " + f"{total} weights of the 'trainable' projector move in one step"
    return Outcome(*map(text.format, moved), shown=moved[0] == 0 and moved[1] > total / 2)


def _alignment(*layers: int, frozen: bool = True) -> Alignment:
    """Return the paper's alignment of some layers, with a projector as small as the others here."""
    teacher = {"teacher": "c-radiov3-l", "teacher_weights": None, "interpolate": False}
    paper = {**teacher, "projector": "mlp", "loss": "cosine"}
    own = {"layers": list(layers), "projector_width": _HIDDEN, "frozen": frozen, "lambda": 0.2}
    return Alignment.model_validate(paper | own)


def _made_up(*shape: int) -> torch.Tensor:
    """Return fixed numbers of the given shape."""
    return torch.from_numpy(np.random.default_rng(2).normal(size=shape).astype(np.float32))


def only_first_projector_saved() -> Outcome:
    """Compare what is saved of a run that aligns three layers with what it holds."""
    objective = Objective(_alignment(1, 2, 3), 0, [_WIDTH] * 4, _TEACHER)
    first = next(iter(objective.projectors.values()))
    total = len(objective.projectors)
    weights = sum(w.numel() for w in objective.state_dict().values())
    saved = [sum(w.numel() for w in m.state_dict().values()) for m in (first, objective)]
    shares = [total * numel / weights for numel in saved]
    text = "{:.0f} of " + f"{total} projectors are saved"
    return Outcome(*map(text.format, shares), shown=shares[0] < total == shares[1])


def unseeded_projector() -> Outcome:
    """Draw the frozen projector twice, after other things have used the global generator."""
    with torch.random.fork_rng(devices=[]):
        draws = {"released": [], "corrected": []}
        for history in (1, 2):
            torch.default_generator.manual_seed(history)
            draws["released"].append(MLP(_WIDTH, _HIDDEN, _TEACHER))
            draws["corrected"].append(make_projector("mlp", _WIDTH, _HIDDEN, _TEACHER, seed=0))
    differ = [sum(int((a != b).sum()) for a, b in _matrices(*pair)) for pair in draws.values()]
    total = sum(first.numel() for first, _ in _matrices(*draws["released"]))
    text = "{} of " + f"{total} weights of the projector's matrices differ in a second run"
    return Outcome(*map(text.format, differ), shown=differ[0] > 0 and differ[1] == 0)


def _matrices(own: nn.Module, other: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return pairs of the matrices of two models of one kind."""
    pairs = zip(own.parameters(), other.parameters(), strict=True)
    return [(first, second) for first, second in pairs if first.ndim == 2]


def bfloat16_updates_lost() -> Outcome:
    """Take 100 AdamW steps of 5e-4 at a constant gradient from a weight of 0.5."""
    reached = []
    for kind in (torch.bfloat16, torch.float32):
        weight = nn.Parameter(torch.tensor([0.5], dtype=kind))
        optimizer = torch.optim.AdamW([weight], lr=5e-4)
        for _ in range(100):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
        reached.append(float(weight.detach()))
    text = "after 100 steps the weight 0.5 is {:.3f}"
    return Outcome(*map(text.format, reached), shown=reached[0] == 0.5 > reached[1] + 0.01)


def one_update_too_many() -> Outcome:
    """Count the updates of a run of 60,000 steps."""
    asked = 60_000
    released = 0
    for step in count():  # the release updates first, then asks whether this was the last step
        released += 1
        if step == asked:
            break
    schedule = Schedule(steps=asked, rate=5e-4, warm_up=1, weight_decay=0.01)
    corrected = len(range(schedule.steps))
    text = "{:,} updates for " + f"{asked:,} steps"
    return Outcome(
        text.format(released), text.format(corrected), shown=released != asked == corrected
    )


def runs_share_a_folder() -> Outcome:
    """Ask where three runs with default names are stored."""
    runs = [("default", 0), ("align", 0), ("align", 1)]
    config = Config.model_construct(results="results")  # only the folder of results is read
    released = {Path("runs") / "" for _ in runs}  # run_root_dir / exp_note, '' by default
    corrected = {run_folder(config, run, seed) for run, seed in runs}
    text = f"{len(runs)} runs are stored in " + "{} folder(s)"
    folder_counts = [len(folders) for folders in (released, corrected)]
    return Outcome(
        *map(text.format, folder_counts), shown=folder_counts[0] < len(runs) == folder_counts[1]
    )


CHECKS = by_name(
    euler_order_differs,
    noop_filter_loses_motion,
    constant_gripper_zeroed,
    equal_quantiles_divide_by_epsilon,
    float32_bin_edges,
    projector_not_in_optimizer,
    only_first_projector_saved,
    unseeded_projector,
    bfloat16_updates_lost,
    one_update_too_many,
    runs_share_a_folder,
)
