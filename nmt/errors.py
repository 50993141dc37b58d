"""The one kind of error that is shown to the user without a traceback."""


class UserError(Exception):
    """Bad usage or bad input: what is wrong, and what to do about it.

    The command line prints it as one message and exits with code 2.

    Args:
        message: what is wrong, naming the file, line or key.
        remedy: what the user can do; a full sentence.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}\n{remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy
