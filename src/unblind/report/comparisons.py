"""Claims about figures: in which of two models a quantity is higher."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from unblind.config.kinds import Name
from unblind.report.printed import Part, Slug, Text

#: What is compared: of attention (`unblind.report.attention.MEASURES`) or of how far apart classes
#: are (`unblind.report.collapse.MEASURES`).
Quantity = Literal["target_lift", "entropy", "sink", "silhouette", "overlap"]
#: Decoder layers: the aligned one, or those of `collapse.layers`.
Layer = Literal["aligned", "early", "middle", "late"]


class Comparison(Part):
    """A claim that a quantity is higher in one model than in another, at one layer.

    Attributes:
        id: its name.
        title: the claim that it is a part of, in a few words.
        label: which part: the layer.
        text: the claim in one sentence.
        location: where the paper makes it.
        figure: the paper's number.
        quantity: what is compared.
        higher, lower: runs.
        layer: at which.
    """

    id: Slug
    title: Text
    label: Text
    text: Text
    location: Text
    figure: str
    quantity: Quantity
    higher: Name
    lower: Name
    layer: Layer


class ComparisonBlock(Part):
    """Comparisons as the file writes them: one for each layer.

    Attributes:
        id: start of the comparisons' ids; the layer is appended if there are several.
        title, location, figure, quantity, higher, lower: as in `Comparison`.
        text: sentence with {layer} to be filled in.
        layers: a comparison for each.
    """

    id: Slug
    title: Text
    text: Text
    location: Text
    figure: str
    quantity: Quantity
    higher: Name
    lower: Name
    layers: Annotated[list[Layer], Field(min_length=1)]

    def comparisons(self) -> Iterator[Comparison]:
        """Yield every comparison."""
        for layer in self.layers:
            yield Comparison(
                id=f"{self.id}-{layer}" if len(self.layers) > 1 else self.id,
                title=self.title,
                label=f"{layer} layer",
                text=self.text.replace("{layer}", f"the {layer} layer"),
                location=self.location,
                figure=self.figure,
                quantity=self.quantity,
                higher=self.higher,
                lower=self.lower,
                layer=layer,
            )
