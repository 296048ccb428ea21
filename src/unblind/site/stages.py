"""The graph of a study's stages, drawn from the same table as its workflow."""

from collections.abc import Sequence
from dataclasses import dataclass

from unblind.site.layered import Layout, layout, reduced
from unblind.site.records import Group


@dataclass(frozen=True)
class Drawing:
    """The graph as lines and boxes.

    Attributes:
        layout: where everything lies.
        paths: of the arrows, as SVG writes them.
        reads: by rule those whose results it reads, all of them.
    """

    layout: Layout
    paths: Sequence[str]
    reads: dict[str, list[str]]


def draw(groups: Sequence[Group]) -> Drawing:
    """Return the graph; an arrow that a longer way stands for is left out of the picture."""
    made_by = {path: one.name for one in groups for job in one.jobs for path in job.outputs}
    made_by |= {path: one.name for one in groups for job in one.jobs for path in job.beside}
    reads: dict[str, list[str]] = {one.name: [] for one in groups}
    for one in groups:
        paths = [path for job in one.jobs for path in (*job.inputs, *job.before)]
        sources = dict.fromkeys(made_by[path] for path in paths if path in made_by)
        reads[one.name] = [name for name in sources if name != one.name]
    edges = reduced((source, name) for name, sources in reads.items() for source in sources)
    placed = layout([one.name for one in groups], edges)
    return Drawing(placed, [_path(points) for points in placed.arrows.values()], reads)


def _path(points: Sequence[tuple[int, int]]) -> str:
    """Return a line that runs level through layers and curves between them."""
    (x, y), *rest = points
    said = f"M{x} {y}"
    for index, (to_x, to_y) in enumerate(rest):
        if index % 2:
            said += f"H{to_x}"
        else:
            half = (x + to_x) // 2
            said += f"C{half} {y} {half} {to_y} {to_x} {to_y}"
        x, y = to_x, to_y
    return said
