"""Layout of a directed acyclic graph in layers from left to right.

After Sugiyama, Tagawa and Toda (1981): layers by longest path, a place in every layer that an arrow
crosses, and an order within layers by the mean place of neighbours.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise
from statistics import fmean

#: Sizes in pixels: a box, the distance of layers, and of two boxes or arrows in a layer.
WIDTH, HEIGHT = 156, 30
_GAP_X, _GAP_Y, _ARROW = 48, 12, 10
_SWEEPS = 12

#: A box, or the place where an arrow crosses a layer: source, target, layer.
_Place = str | tuple[str, str, int]
Edge = tuple[str, str]


@dataclass(frozen=True)
class Layout:
    """Where boxes and arrows lie, in pixels from the upper left corner.

    Attributes:
        width, height: of the whole.
        boxes: by name the upper left corner.
        arrows: by edge the points that it passes, first and last at the boxes' edges.
    """

    width: int
    height: int
    boxes: Mapping[str, tuple[int, int]]
    arrows: Mapping[Edge, Sequence[tuple[int, int]]]


def layout(names: Sequence[str], edges: Iterable[Edge]) -> Layout:
    """Return a layout; equal arguments give equal ones.

    Args:
        names: of the boxes; those higher up come first where nothing else decides.
        edges: source and target.

    Raises:
        graphlib.CycleError: the edges are no acyclic graph.
    """
    edges = [edge for edge in edges if edge[0] != edge[1]]
    layer = _layers(names, edges)
    chains = {edge: _chain(edge, layer) for edge in edges}
    columns: list[list[_Place]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for name in names:
        columns[layer[name]].append(name)
    for chain in chains.values():
        for place in chain[1:-1]:
            columns[place[2]].append(place)  # type: ignore[arg-type]  (no box)
    links = [pair for chain in chains.values() for pair in pairwise(chain)]
    neighbours = _neighbours(columns, links)
    heights = _heights(_ordered(columns, neighbours), neighbours)
    return _drawn(columns, chains, heights, layer)


def reduced(edges: Iterable[Edge]) -> list[Edge]:
    """Return the edges of an acyclic graph without those that a longer path stands for."""
    edges = sorted(set(edges))
    after: dict[str, set[str]] = {}
    for source, target in edges:
        after.setdefault(source, set()).add(target)

    def reach(name: str, seen: set[str]) -> set[str]:
        for one in after.get(name, set()) - seen:
            seen.add(one)
            reach(one, seen)
        return seen

    return [
        (source, target)
        for source, target in edges
        if not any(target in reach(other, set()) for other in after[source] - {target})
    ]


def _layers(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Return each box's layer: after all that it follows, a source just before its first reader."""
    before: dict[str, list[str]] = {name: [] for name in names}
    after: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        before[target].append(source)
        after[source].append(target)
    layer: dict[str, int] = {}
    for name in TopologicalSorter(before).static_order():
        layer[name] = max((layer[one] + 1 for one in before[name]), default=0)
    last = max(layer.values(), default=0)
    for name in names:
        if not before[name]:
            layer[name] = min((layer[one] for one in after[name]), default=last + 1) - 1
    return layer


def _chain(edge: Edge, layer: Mapping[str, int]) -> list[_Place]:
    source, target = edge
    between = range(layer[source] + 1, layer[target])
    return [source, *((source, target, number) for number in between), target]


def _neighbours(
    columns: Sequence[Sequence[_Place]], links: Iterable[tuple[_Place, _Place]]
) -> tuple[dict[_Place, list[_Place]], dict[_Place, list[_Place]]]:
    """Return by place those that it is linked to in the layer before, and in the layer after."""
    left: dict[_Place, list[_Place]] = {place: [] for column in columns for place in column}
    right: dict[_Place, list[_Place]] = {place: [] for column in columns for place in column}
    for source, target in links:
        right[source].append(target)
        left[target].append(source)
    return left, right


def _ordered(
    columns: list[list[_Place]],
    neighbours: tuple[dict[_Place, list[_Place]], dict[_Place, list[_Place]]],
) -> list[list[_Place]]:
    """Sort each layer by the mean place of its neighbours, there and back again."""
    left, right = neighbours
    for sweep in range(_SWEEPS):
        near, order = (left, columns) if sweep % 2 == 0 else (right, columns[::-1])
        for column in order:
            place = {one: index for some in columns for index, one in enumerate(some)}
            keys = {
                one: fmean(place[other] for other in near[one]) if near[one] else place[one]
                for one in column
            }
            column.sort(key=keys.__getitem__)
    return columns


def _heights(
    columns: Sequence[Sequence[_Place]],
    neighbours: tuple[dict[_Place, list[_Place]], dict[_Place, list[_Place]]],
) -> dict[_Place, float]:
    """Return the middle of each place: as near to its neighbours' as its layer allows."""
    middle: dict[_Place, float] = {}
    for column in columns:
        middle |= _stacked(column, [0.0] * len(column))
    left, right = neighbours
    for sweep in range(_SWEEPS):
        near, order = (left, columns) if sweep % 2 == 0 else (right, columns[::-1])
        for column in order:
            wished = [fmean(middle[o] for o in near[p]) if near[p] else middle[p] for p in column]
            middle |= _stacked(column, wished)
    return middle


def _stacked(column: Sequence[_Place], wished: Sequence[float]) -> dict[_Place, float]:
    """Return middles in this order, none too near to the next, on average where they are wished."""
    placed: list[float] = []
    for index, one in enumerate(column):
        least = wished[index]
        if index:
            least = placed[-1] + (_size(column[index - 1]) + _size(one)) / 2 + _GAP_Y
        placed.append(max(wished[index], least))
    shift = fmean(w - p for w, p in zip(wished, placed, strict=True)) if placed else 0.0
    return {one: place + shift for one, place in zip(column, placed, strict=True)}


def _size(place: _Place) -> int:
    return HEIGHT if isinstance(place, str) else _ARROW


def _drawn(
    columns: Sequence[Sequence[_Place]],
    chains: Mapping[Edge, Sequence[_Place]],
    middle: Mapping[_Place, float],
    layer: Mapping[str, int],
) -> Layout:
    top = min((middle[one] - _size(one) / 2 for one in middle), default=0.0) - _GAP_Y
    bottom = max((middle[one] + _size(one) / 2 for one in middle), default=0.0) + _GAP_Y

    def x(place: _Place) -> int:
        number = layer[place] if isinstance(place, str) else place[2]
        return _GAP_Y + number * (WIDTH + _GAP_X)

    def y(place: _Place) -> int:
        return round(middle[place] - top)

    arrows = {}
    for edge, chain in chains.items():
        points = [(x(chain[0]) + WIDTH, y(chain[0]))]
        for place in chain[1:-1]:
            points += [(x(place), y(place)), (x(place) + WIDTH, y(place))]
        arrows[edge] = (*points, (x(chain[-1]), y(chain[-1])))
    boxes = {one: (x(one), y(one) - HEIGHT // 2) for one in middle if isinstance(one, str)}
    width = len(columns) * (WIDTH + _GAP_X) - _GAP_X + 2 * _GAP_Y
    return Layout(width, round(bottom - top), boxes, arrows)
