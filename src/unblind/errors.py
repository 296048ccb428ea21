"""The one exception that users see."""


class UnblindError(Exception):
    """A problem the user can act on: names the cause and the remedy.

    The command line prints it as one line and exits with code 1; no traceback is shown.
    """

    def __init__(self, cause: str, remedy: str = "") -> None:
        self.cause, self.remedy = cause, remedy
        super().__init__(f"{cause} ({remedy})" if remedy else cause)
