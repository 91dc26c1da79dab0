"""What a program finds around it: made once in :mod:`toe.main`, the only reader of the environment."""

from toe.api.meta import Struct

PATH_SEPARATOR = ":"
"""Between the files of ``$KUBECONFIG``; nodes and their people run Linux or macOS."""


class Surroundings(Struct, frozen=True):
    """Is what the program finds around it, read once."""

    environment: dict[str, str]
    home: str
    is_plugin: bool = False
    """Whether people call it as ``kubectl toe``: what usage texts show."""

    @property
    def kubeconfig(self) -> tuple[str, ...]:
        """Is the paths of the files that kubectl would merge: ``$KUBECONFIG``, else ``~/.kube/config``."""
        listed = [part for part in self.environment.get("KUBECONFIG", "").split(PATH_SEPARATOR) if part]
        return tuple(listed) or (f"{self.home}/.kube/config",)
