"""Checks of the released evaluation and analysis: decoding, pictures, answers, t-SNE, spreads.

Where this study has no such step (questions to VLMs, t-SNE), the fixed rule is here.
"""

import re
from collections.abc import Sequence

import numpy as np
import torch

from unblind.audit.defect_outcome import Outcome, by_name
from unblind.report.published import load_claims
from unblind.report.stats import wilson
from unblind.sim.conditions import get
from unblind.sim.episodes import sample_ids
from unblind.vla.decode import draws
from unblind.vla.pixels import Squeezed

_PLACES = ("left", "center", "right")
# OpenVLA's input: side in pixels, visual tokens (all after the first token), ImageNet statistics.
_SIDE, _VISUAL = 224, 256
_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# The released episodes of one evaluation seed.
_EPISODES = 128


def _words(answer: str) -> list[str]:
    return re.findall(r"\w+", answer.lower())


def _passes_released(answer: str, place: str) -> bool:
    """Tell whether an answer holds "yes" and the place; nothing else in it matters."""
    return {"yes", place} <= set(_words(answer))


def _passes_strict(answer: str, place: str) -> bool:
    """Tell whether an answer says yes and not no, and names this place and no other."""
    said = set(_words(answer))
    return said & {"yes", "no"} == {"yes"} and said & set(_PLACES) == {place}


def parser_accepts_every_place() -> Outcome:
    """Judge one answer that names every place, with the board at each of them."""
    answer = "Yes. It is on the left, in the center or on the right."
    rules = (_passes_released, _passes_strict)
    accepted = [sum(rule(answer, place) for place in _PLACES) for rule in rules]
    honest = all(rule(f"Yes, {place}.", place) for rule in rules for place in _PLACES)
    text = "'yes ... left ... center ... right' is right for {} of 3 places"
    return Outcome(
        *map(text.format, accepted), shown=honest and accepted[0] == 3 and accepted[1] == 0
    )


def no_negative_probes() -> Outcome:
    """Score a model that says "yes" to everything, without and with boards that are not there."""
    present, absent = [True] * 3, [False] * 3
    # "yes" is right where the board is present.
    scores = [100 * np.mean(probes) for probes in (present, present + absent)]
    text = "always saying 'yes' scores {:.0f} % on 'do you see it?'"
    return Outcome(*map(text.format, scores), shown=scores[0] == 100 > scores[1])


def _prompt_pieces(word: Sequence[str]) -> list[str]:
    """Return the t-SNE script's prompt in made-up pieces, the class word in those given."""
    return ["<s>", "In", ":", "Do", "you", "see", *word, "on", "picture", "?", "\n", "Out", ":"]


def _first_piece_with(pieces: Sequence[str], word: str) -> int | None:
    """Return the first piece that holds the whole word, as the release looks for it."""
    return next((i for i, piece in enumerate(pieces) if word in piece.lower()), None)


def _last_piece_of(pieces: Sequence[str], word: str) -> int | None:
    """Return where a word ends that may be split over several pieces."""
    for start in range(len(pieces)):
        for stop in range(start + 1, len(pieces) + 1):
            if "".join(pieces[start:stop]).lower() == word:
                return stop - 1
    return None


def tsne_reads_visual_tokens() -> Outcome:
    """Look up class words in the text, then read the decoder's states at that index.

    The decoder sees the first token, 256 visual tokens and then the rest of the text.
    """
    words = ("cup", "bottle", "knife")
    places = [_first_piece_with(_prompt_pieces([word]), word) for word in words]
    positions = []
    for shift in (0, _VISUAL):
        indices = [place + shift for place in places]
        positions.append((sum(1 <= index <= _VISUAL for index in indices), indices[0]))
    text = "{} of 3 class words are read from a visual token (index {} for 'cup')"
    return Outcome(
        *(text.format(*pair) for pair in positions), shown=[n for n, _ in positions] == [3, 0]
    )


def tsne_split_words_fall_back() -> Outcome:
    """Look for a class word that a tokenizer has split in two."""
    pieces = _prompt_pieces(["kn", "ife"])
    released, corrected = _first_piece_with(pieces, "knife"), _last_piece_of(pieces, "knife")
    read = [pieces[-1 if place is None else place] for place in (released, corrected)]
    text = "'kn|ife' is read from the piece '{}'"
    return Outcome(*map(text.format, read), shown=released is None and read[1] == "ife")


def tsne_query_word_is_absent() -> Outcome:
    """Look for the query of attention pooling in the prompts of three classes."""
    words = ("cup", "bottle", "knife")
    pieces = {word: _prompt_pieces([word]) for word in words}
    absent = [
        sum(_first_piece_with(pieces[word], query or word) is not None for word in words)
        for query in ("object", None)
    ]
    text = "the query word stands in {} of 3 prompts"
    return Outcome(*map(text.format, absent), shown=absent == [0, 3])


def _separation(words: np.ndarray, picture: np.ndarray, labels: np.ndarray) -> float:
    """Return the accuracy in % of nearest class centres on the odd items, fitted on the even."""
    states = words + 0.3 * picture
    centres = np.stack([states[::2][labels[::2] == label].mean(0) for label in range(3)])
    distance = np.linalg.norm(states[1::2, None] - centres, axis=2)
    return 100 * float((distance.argmin(1) == labels[1::2]).mean())


def tsne_word_gives_the_class_away() -> Outcome:
    """Separate states of text tokens whose pictures hold no information about the class."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 1200)
    picture, words = rng.normal(size=(1200, 16)), rng.normal(size=(3, 16))
    own = _separation(words[labels], picture, labels)
    fixed = _separation(words[np.zeros_like(labels)], picture, labels)
    text = "pictures without content are told apart in {:.0f} % ({}; chance 33 %)"
    return Outcome(
        text.format(own, "the prompt names the class"),
        text.format(fixed, "one prompt for all"),
        shown=own > 90 and fixed < 40,
    )


def tsne_two_labels_a_picture() -> Outcome:
    """Choose pictures for three classes from six made-up ones."""
    labels = {"cup", "bottle", "knife"}
    pictures = [{"cup"}, {"bottle"}, {"knife"}, {"cup", "bottle"}, {"cup", "knife"}, {"dog"}]
    held = [len(classes & labels) for classes in pictures]
    released, corrected = (sum(n > 1 for n in held if n in kept) for kept in ((1, 2, 3), (1,)))
    text = "{} of 6 made-up pictures get two labels"
    return Outcome(
        text.format(released), text.format(corrected), shown=released > 0 and corrected == 0
    )


def decoding_is_sampled() -> Outcome:
    """Sample 1,000 actions twice: 7 tokens, each 70 % sure between two ids, at temperature 0.6."""
    odds = (7 / 3) ** (1 / 0.6)
    sure = odds / (1 + odds)  # of the likelier id, once divided by the temperature
    steps, tokens = 1000, 7
    one = np.random.default_rng(0)  # for everything, as if the process had been started once
    own = [draws([(0, step) for step in range(steps)], tokens).numpy() for _ in range(2)]
    changed = [
        100 * np.mean(((first < sure) != (again < sure)).any(axis=1))
        for first, again in ((one.random((steps, tokens)), one.random((steps, tokens))), own)
    ]
    text = "{:.0f} % of the actions are others the second time"
    return Outcome(*map(text.format, changed), shown=changed[0] > 50 and changed[1] == 0)


def ids_from_global_generator() -> Outcome:
    """Draw the ids of two methods of one seed, one of which has drawn other numbers before."""
    drawn: dict[str, list[list[int]]] = {"released": [], "corrected": []}
    for weights_drawn_before in (0, 1000):
        generator = torch.Generator().manual_seed(0)
        torch.randn(weights_drawn_before, generator=generator)
        size = get("carrot").evaluation.size
        ids = torch.randint(size, (_EPISODES,), generator=generator).tolist()
        drawn["released"].append(ids)
        drawn["corrected"].append(sample_ids("carrot", _EPISODES, 0))
    shared = [len(set(first) & set(second)) for first, second in drawn.values()]
    text = "{} of " + f"{_EPISODES} episodes are shared by two methods of one seed"
    return Outcome(*map(text.format, shared), shown=shared[0] < _EPISODES == shared[1])


def _box_picture(height: int = 480, width: int = 640) -> np.ndarray:
    """Return a black picture with a white box 100 pixels wide in its middle."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[190:290, width // 2 - 50 : width // 2 + 50] = 255
    return picture


def bicubic_overshoot() -> Outcome:
    """Resize a white box on black to the model's input and normalise it."""
    picture = _box_picture()
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    bicubic = torch.nn.functional.interpolate(
        tensor, (_SIDE, _SIDE), mode="bicubic", antialias=True
    )
    inputs = [bicubic / 255, Squeezed(_SIDE).evaluation(picture[None])]
    lowest = [float(((x.amin((0, 2, 3)).numpy() - _MEAN) / _STD).min()) for x in inputs]
    floor = float((-_MEAN / _STD).min())
    text = "darkest input {:.2f}, where black is " + f"{floor:.2f}"
    return Outcome(
        *map(text.format, lowest), shown=lowest[0] < floor - 0.05 and lowest[1] > floor - 1e-5
    )


def no_center_crop() -> Outcome:
    """Compare how large a box looks in training (90 % crops) and in evaluation."""
    picture = _box_picture()
    height, width = (round(length * np.sqrt(0.9)) for length in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    crop = np.ascontiguousarray(picture[top : top + height, left : left + width])

    def box_width(seen: np.ndarray) -> float:
        return float(Squeezed(_SIDE).evaluation(seen[None])[0, 0, _SIDE // 2].sum())

    seen = box_width(picture)
    larger = [100 * (box_width(trained) / seen - 1) for trained in (crop, picture)]
    text = "objects look {:.1f} % wider in training than in evaluation"
    return Outcome(*map(text.format, larger), shown=larger[0] > 3 and larger[1] == 0)


def spread_below_binomial() -> Outcome:
    """Compare Table 1's printed spreads with the scatter of rates over 128 episodes."""
    rows = load_claims().table1.rows.values()
    cells = [cell for row in rows for cell in row.cells.values()]
    printed = ours = 0
    for rate, spread in cells:
        scatter = np.sqrt(rate * (1 - rate) / _EPISODES)
        low, high = wilson(round(rate * _EPISODES), _EPISODES)
        printed += spread < scatter
        ours += (high - low) / 2 < scatter
    text = "{} of " + f"{len(cells)} spreads are below one binomial SD of {_EPISODES} episodes"
    return Outcome(text.format(printed), text.format(ours), shown=printed > 0 and ours == 0)


CHECKS = by_name(
    parser_accepts_every_place,
    no_negative_probes,
    tsne_reads_visual_tokens,
    tsne_split_words_fall_back,
    tsne_query_word_is_absent,
    tsne_word_gives_the_class_away,
    tsne_two_labels_a_picture,
    decoding_is_sampled,
    ids_from_global_generator,
    bicubic_overshoot,
    no_center_crop,
    spread_below_binomial,
)
