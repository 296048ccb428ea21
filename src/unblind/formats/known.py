"""What all episodes of a set have in common: formats with a table of features need to know."""

from unblind.errors import UnblindError
from unblind.formats import pictures
from unblind.formats.episodes import Episode


class Known:
    """What the first episode of a set tells; the others must tell as much.

    Attributes:
        form: of the pictures.
        extras: names of the known extras.
        has_ids: whether episode ids are known.
    """

    form: pictures.Form
    extras: tuple[str, ...]
    has_ids: bool

    def __init__(self) -> None:
        self._count = 0

    def check(self, episode: Episode) -> None:
        """Learn from the first episode, and compare the others with it.

        Raises:
            UnblindError: another episode tells less or more, or has other pictures.
        """
        told = (_form(episode), tuple(episode.extras), episode.episode_id is not None)
        if not self._count:
            self.form, self.extras, self.has_ids = told
        for what, here, first in zip(
            ("pictures", "columns", "ids"),
            told,
            (self.form, self.extras, self.has_ids),
            strict=True,
        ):
            if here != first:
                cause = f"episode {self._count} has other {what} than the first: {here}, {first}"
                raise UnblindError(cause, "convert sets of one kind each")
        self._count += 1


def _form(episode: Episode) -> pictures.Form:
    forms = set()
    for number, image in enumerate(episode.images):
        try:
            forms.add(pictures.form(image))
        except ValueError as error:
            cause = f"{episode.file_path}: picture {number} of an episode {error}"
            raise UnblindError(cause, "make the demonstrations again") from None
    if len(forms) != 1:
        cause = f"{episode.file_path}: an episode has pictures of {len(forms)} kinds"
        raise UnblindError(cause, "make the demonstrations again")
    return forms.pop()
