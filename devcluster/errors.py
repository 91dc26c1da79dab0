"""What went wrong, in words for the person at the keyboard."""


class DevClusterError(Exception):
    """One sentence that says what is wrong, and where one is known a hint that says what to do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class ComponentError(DevClusterError):
    """A component of the cluster died or did not become ready; the message ends with the last lines of its log."""
