"""How to reach an API server and as whom: from inside a pod or from a kubeconfig.

Nothing here reads the environment; what it says is an argument, read once by the composition root.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from toe.api.surroundings import Surroundings
from toe.errors import SettingsError
from toe.kube import kubeconfig
from toe.kube.credentials import EXEC_VERSIONS, Credential, Exec, Files, Fixed, Source, basic
from toe.kube.kubeconfig import Cluster, Context, ExecConfig, Kubeconfig, User

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT_KUBECONFIG = Path(".kube") / "config"


@dataclass(frozen=True, slots=True)
class Impersonation:
    """Is whom to act as.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/
    """

    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def headers(self) -> list[tuple[str, str]]:
        """Is the request headers; extra keys are lower case and percent-encoded, as the API server wants them."""
        pairs = [("Impersonate-User", self.user)] if self.user else []
        if self.uid:
            pairs.append(("Impersonate-Uid", self.uid))
        pairs += [("Impersonate-Group", group) for group in self.groups]
        for key, values in self.extra.items():
            pairs += [(f"Impersonate-Extra-{quote(key.lower(), safe='')}", value) for value in values]
        return pairs


@dataclass(frozen=True, slots=True)
class Access:
    """Is everything needed to talk to one API server.

    ``server`` is its URL without a slash at the end; ``ca_file`` or ``ca_data`` (PEM) is what its certificate is
    checked against, the system's authorities when neither is given. ``credentials`` gives tokens and certificates as
    they are now.
    """

    server: str
    credentials: Source = field(default_factory=Fixed)
    ca_file: Path | None = None
    ca_data: bytes = b""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""
    namespace: str = "default"
    impersonate: Impersonation = Impersonation()

    def __post_init__(self) -> None:
        """Refuses a server or proxy that is not a URL we can talk to."""
        object.__setattr__(self, "server", self.server.rstrip("/"))
        url = urlsplit(self.server)
        if url.scheme not in ("https", "http") or not url.hostname:
            raise SettingsError(f"server {self.server!r}: an https:// URL is wanted")
        if self.proxy_url and urlsplit(self.proxy_url).scheme not in ("http", "https"):
            raise SettingsError(f"proxy-url {self.proxy_url!r}: only http:// and https:// proxies are supported")


def in_cluster(root: Path = SERVICE_ACCOUNT, *, host: str, port: str | int = 443) -> Access:
    """Reaches the API server as the pod's service account; ``host`` and ``port`` are KUBERNETES_SERVICE_HOST and _PORT.

    The token is read again at least once a minute and whenever it was refused. Raises SettingsError outside a pod.
    Source: https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
    """
    token = root / "token"
    if not host:
        raise SettingsError("not inside a cluster: KUBERNETES_SERVICE_HOST is not set")
    if not token.is_file():
        raise SettingsError(f"not inside a cluster: {token} is missing (automountServiceAccountToken may be false)")
    namespace = root / "namespace"
    return Access(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        credentials=Files(token=token),
        ca_file=root / "ca.crt",
        namespace=namespace.read_text().strip() if namespace.is_file() else "default",
    )


def from_kubeconfig(
    paths: Sequence[Path],
    *,
    context: str | None = None,
    namespace: str | None = None,
    user: str | None = None,
    cluster: str | None = None,
    server: str | None = None,
    as_user: str | None = None,
    as_groups: Sequence[str] = (),
    as_uid: str | None = None,
    insecure_skip_tls_verify: bool | None = None,
    tls_server_name: str | None = None,
    certificate_authority: Path | None = None,
    token: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Access:
    """Reaches the API server which kubectl would reach with the same files and flags.

    ``environment`` is what exec plugins run in. Raises SettingsError naming the file and the field that is wrong.
    """
    config = kubeconfig.read(paths)
    chosen = _context(config, context, complete=cluster is not None and user is not None)
    cluster_name, user_name = cluster or chosen.cluster, user or chosen.user
    if cluster_name not in config.clusters:
        raise SettingsError(f"cluster {cluster_name!r} is in none of the files; there are: {_names(config.clusters)}")
    if user_name and user_name not in config.users:
        raise SettingsError(f"user {user_name!r} is in none of the files; there are: {_names(config.users)}")
    place = config.clusters[cluster_name]
    who = config.users[user_name] if user_name else User()
    where = f"{config.origin['clusters', cluster_name]}: clusters[{cluster_name}]"
    if not (server or place.server):
        raise SettingsError(f"{where}.server: missing")
    ca_file, ca_data, insecure = _trust(place, where, certificate_authority, insecure_skip_tls_verify)
    fixed = Fixed(Credential(f"Bearer {token}")) if token else None
    return Access(
        server=server or place.server,
        credentials=fixed or _source(config, user_name, who, place, environment or {}),
        ca_file=ca_file,
        ca_data=ca_data,
        insecure_skip_tls_verify=insecure,
        tls_server_name=tls_server_name or place.tls_server_name,
        proxy_url=place.proxy_url,
        namespace=namespace or chosen.namespace or "default",
        impersonate=Impersonation(
            user=as_user or who.act_as,
            uid=as_uid or who.act_as_uid,
            groups=tuple(as_groups) or who.act_as_groups or (),
            extra=who.act_as_user_extra or {},
        ),
    )


def access_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that :func:`chosen_access` reads: those of a program that runs in a pod, or by hand."""
    parser.add_argument("--kubeconfig", type=Path, help="default: the pod's service account, else $KUBECONFIG")
    parser.add_argument("--context", help="context of the kubeconfig")


def chosen_access(options: argparse.Namespace, around: Surroundings) -> Access:
    """Returns how a program reaches its API server: the stated kubeconfig, else the pod's service account, else
    ``$KUBECONFIG``. SettingsError when that says nothing usable."""
    host = around.environment.get("KUBERNETES_SERVICE_HOST", "")
    if host and options.kubeconfig is None:
        return in_cluster(host=host, port=around.environment.get("KUBERNETES_SERVICE_PORT", "443"))
    paths = [options.kubeconfig] if options.kubeconfig else [Path(path) for path in around.kubeconfig]
    return from_kubeconfig(paths, context=options.context, environment=around.environment)


def _context(config: Kubeconfig, wanted: str | None, *, complete: bool) -> Context:
    """Picks the context; none is needed when cluster and user are named themselves."""
    name = wanted or config.current_context
    if not name and not complete:
        raise SettingsError("no current-context is set; name a context")
    if name and name not in config.contexts:
        raise SettingsError(f"context {name!r} is in none of the files; there are: {_names(config.contexts)}")
    return config.contexts[name] if name else Context()


def _trust(place: Cluster, where: str, file: Path | None, insecure: bool | None) -> tuple[Path | None, bytes, bool]:
    """Decides what the server's certificate is checked against: the flags beat the file, data beats a path."""
    data = kubeconfig.data(place.certificate_authority_data, f"{where}.certificate-authority-data")
    path = Path(place.certificate_authority) if place.certificate_authority else None
    if insecure:
        return None, b"", True
    if file is not None:
        return file, b"", False
    if insecure is None and place.insecure_skip_tls_verify:
        if data or path:
            raise SettingsError(f"{where}: insecure-skip-tls-verify together with a certificate authority")
        return None, b"", True
    return (None if data else path), data, False


def _source(config: Kubeconfig, name: str, user: User, place: Cluster, environment: Mapping[str, str]) -> Source:
    """Picks what the user proves himself with. Data beats files, as the kubeconfig reference says; so do tokens."""
    where = f"{config.origin.get(('users', name), '')}: users[{name}]"
    if user.auth_provider is not None:
        raise SettingsError(f"{where}.auth-provider: removed in Kubernetes 1.26; use an exec plugin")
    has_certificate = bool(user.client_certificate or user.client_certificate_data)
    if has_certificate != bool(user.client_key or user.client_key_data):
        raise SettingsError(f"{where}: client-certificate and client-key come together or not at all")
    certificate = kubeconfig.data(user.client_certificate_data, f"{where}.client-certificate-data")
    key = kubeconfig.data(user.client_key_data, f"{where}.client-key-data")
    if user.exec_ is not None:
        if has_certificate or user.token or user.token_file:
            raise SettingsError(f"{where}.exec: together with a token or a certificate")
        return _plugin(user.exec_, where, place, environment)
    if user.token_file or (has_certificate and not (certificate and key)):
        return Files(
            token=Path(user.token_file) if user.token_file else None,
            certificate=Path(user.client_certificate) if user.client_certificate and not certificate else None,
            key=Path(user.client_key) if user.client_key and not key else None,
            certificate_data=certificate,
            key_data=key,
        )
    authorization = f"Bearer {user.token}" if user.token else ""
    if user.username and not authorization:
        authorization = basic(user.username, user.password)
    return Fixed(Credential(authorization, certificate, key))


def _plugin(plugin: ExecConfig, where: str, place: Cluster, environment: Mapping[str, str]) -> Exec:
    if plugin.api_version not in EXEC_VERSIONS:
        raise SettingsError(f"{where}.exec.apiVersion: {plugin.api_version!r} is not one of {', '.join(EXEC_VERSIONS)}")
    if plugin.interactive_mode == "Always":
        raise SettingsError(f"{where}.exec.interactiveMode: Always, but toe has no terminal to lend")
    info: dict[str, object] | None = None
    if plugin.provide_cluster_info:
        info = {"server": place.server}
        if place.certificate_authority_data:
            info["certificate-authority-data"] = place.certificate_authority_data
        if place.tls_server_name:
            info["tls-server-name"] = place.tls_server_name
        if place.insecure_skip_tls_verify:
            info["insecure-skip-tls-verify"] = True
        if place.proxy_url:
            info["proxy-url"] = place.proxy_url
    return Exec(
        plugin.command,
        plugin.args or (),
        api_version=plugin.api_version,
        environment=environment,
        extra={variable.name: variable.value for variable in plugin.env or ()},
        info=info,
        hint=plugin.install_hint,
    )


def _names(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "none"
