"""What kubeconfig files say, merged as kubectl merges them, with every path made absolute.

Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/ and
https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from toe.errors import SettingsError


class _Word(msgspec.Struct, frozen=True, rename="kebab"):
    """Is the base of all words of a kubeconfig, which is written with hyphens."""


class Cluster(_Word, frozen=True):
    """Is where an API server is and how to know it."""

    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class ExecVariable(msgspec.Struct, frozen=True):
    """Is one variable added to an exec plugin's environment."""

    name: str
    value: str = ""


class ExecConfig(msgspec.Struct, frozen=True, rename="camel"):
    """Is how to run an exec plugin."""

    command: str
    api_version: str
    args: tuple[str, ...] | None = None
    env: tuple[ExecVariable, ...] | None = None
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = ""


class User(_Word, frozen=True):
    """Is who to be. ``tokenFile`` alone is written in camelCase."""

    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = msgspec.field(name="tokenFile", default="")
    username: str = ""
    password: str = ""
    act_as: str = msgspec.field(name="as", default="")
    act_as_uid: str = msgspec.field(name="as-uid", default="")
    act_as_groups: tuple[str, ...] | None = msgspec.field(name="as-groups", default=None)
    act_as_user_extra: dict[str, tuple[str, ...]] | None = msgspec.field(name="as-user-extra", default=None)
    exec_: ExecConfig | None = msgspec.field(name="exec", default=None)
    auth_provider: dict[str, Any] | None = None


class Context(_Word, frozen=True):
    """Is a cluster, a user and a namespace under one name."""

    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _NamedCluster(msgspec.Struct, frozen=True):
    name: str
    cluster: Cluster = Cluster()


class _NamedUser(msgspec.Struct, frozen=True):
    name: str
    user: User | None = None


class _NamedContext(msgspec.Struct, frozen=True):
    name: str
    context: Context = Context()


class _File(_Word, frozen=True):
    current_context: str = ""
    clusters: tuple[_NamedCluster, ...] | None = None
    users: tuple[_NamedUser, ...] | None = None
    contexts: tuple[_NamedContext, ...] | None = None


class Kubeconfig(msgspec.Struct, frozen=True):
    """Is all files merged. ``origin`` tells which file a ``("users", name)`` came from, for messages."""

    current_context: str
    clusters: dict[str, Cluster]
    users: dict[str, User]
    contexts: dict[str, Context]
    origin: dict[tuple[str, str], str]


def read(paths: Sequence[Path]) -> Kubeconfig:
    """Merges ``paths``: the first file that sets a name or the current context wins; files that do not exist count not.

    Raises SettingsError naming the file and the field, or all paths when none exists.
    """
    files = [(path, _load(path)) for path in paths if path.is_file()]
    if not files:
        raise SettingsError(f"no kubeconfig found at {', '.join(str(path) for path in paths) or 'any path'}")
    merged = Kubeconfig("", {}, {}, {}, {})
    current = ""
    for path, file in files:
        current = current or file.current_context
        for cluster in file.clusters or ():
            if cluster.name not in merged.clusters:
                merged.clusters[cluster.name] = _absolute(cluster.cluster, path)
                merged.origin["clusters", cluster.name] = str(path)
        for user in file.users or ():
            if user.name not in merged.users:
                merged.users[user.name] = _absolute(user.user or User(), path)
                merged.origin["users", user.name] = str(path)
        for context in file.contexts or ():
            if context.name not in merged.contexts:
                merged.contexts[context.name] = context.context
                merged.origin["contexts", context.name] = str(path)
    return msgspec.structs.replace(merged, current_context=current)


def _load(path: Path) -> _File:
    try:
        document = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        return msgspec.convert(document or {}, _File)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {error}") from error


W = TypeVar("W", Cluster, User)
_PATHS = ("certificate_authority", "client_certificate", "client_key", "token_file")


def _absolute(word: W, file: Path) -> W:
    """Resolves relative paths against the file's directory, as kubectl does; so too a plugin written as ./name."""
    base = file.absolute().parent
    changes: dict[str, Any] = {
        name: str(base / value) for name in _PATHS if (value := getattr(word, name, "")) and isinstance(value, str)
    }
    plugin = getattr(word, "exec_", None)
    if isinstance(plugin, ExecConfig) and "/" in plugin.command:
        changes["exec_"] = msgspec.structs.replace(plugin, command=str(base / plugin.command))
    return msgspec.structs.replace(word, **changes) if changes else word


def data(text: str, where: str) -> bytes:
    """Decodes the base64 of a ``...-data`` field; SettingsError names ``where``."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SettingsError(f"{where}: not base64: {error}") from error
