"""Promises of the access: the same files and flags reach the same server, as the same user, as with kubectl."""

import argparse
import base64
from pathlib import Path
from typing import Any

import pytest

from toe.api.surroundings import Surroundings
from toe.errors import SettingsError
from toe.kube.access import (
    Access,
    Impersonation,
    access_flags,
    chosen_access,
    from_kubeconfig,
    in_cluster,
)
from toe.kube.credentials import Credential, Exec, Files, Fixed

B64 = base64.b64encode(b"PEM").decode()


def a_config(folder: Path, *, cluster: str = "", user: str = "token: t", context: str = "") -> list[Path]:
    """Writes a kubeconfig with one context; the arguments are added to its parts."""
    path = folder / "config"
    path.write_text(
        f"""
current-context: x
contexts: [{{name: x, context: {{cluster: c, user: u{context and f", {context}"}}}}}]
clusters: [{{name: c, cluster: {{server: "https://h:6443/"{cluster and f", {cluster}"}}}}}]
users: [{{name: u, user: {{{user}}}}}]
"""
    )
    return [path]


async def test_a_pod_reaches_its_cluster(tmp_path: Path) -> None:
    """Inside a pod the mounted token, authority and namespace are used."""
    (tmp_path / "token").write_text("t")
    (tmp_path / "namespace").write_text("toe-system\n")
    access = in_cluster(tmp_path, host="10.0.0.1", port="443")
    assert access.server == "https://10.0.0.1:443"
    assert access.namespace == "toe-system"
    assert access.ca_file == tmp_path / "ca.crt"
    assert (await access.credentials.get()).authorization == "Bearer t"
    assert in_cluster(tmp_path, host="fd00::1", port=6443).server == "https://[fd00::1]:6443"


def test_outside_a_pod_is_said_so(tmp_path: Path) -> None:
    """Without host or token file SettingsError says what is missing."""
    with pytest.raises(SettingsError, match="KUBERNETES_SERVICE_HOST"):
        in_cluster(tmp_path, host="")
    with pytest.raises(SettingsError, match="token is missing"):
        in_cluster(tmp_path, host="h")


def test_the_namespace_is_default_unless_said(tmp_path: Path) -> None:
    """Argument, then context, then "default"."""
    assert from_kubeconfig(a_config(tmp_path)).namespace == "default"
    assert from_kubeconfig(a_config(tmp_path, context="namespace: n")).namespace == "n"
    assert from_kubeconfig(a_config(tmp_path, context="namespace: n"), namespace="m").namespace == "m"
    (tmp_path / "token").write_text("t")
    assert in_cluster(tmp_path, host="h").namespace == "default"


@pytest.mark.parametrize(
    ("user", "credential"),
    [
        ("token: t", Credential("Bearer t")),
        ("username: a, password: b", Credential("Basic YTpi")),
        (f"client-certificate-data: {B64}, client-key-data: {B64}", Credential("", b"PEM", b"PEM")),
        (f"token: t, client-certificate-data: {B64}, client-key-data: {B64}", Credential("Bearer t", b"PEM", b"PEM")),
        ("", Credential()),
        ("client-certificate: crt, client-key: key", Credential("", b"CRT", b"KEY")),
        (f"client-certificate: crt, client-key-data: {B64}", Credential("", b"CRT", b"PEM")),
        (f"client-certificate: none, client-certificate-data: {B64}, client-key: key", Credential("", b"PEM", b"KEY")),
        ("tokenFile: file", Credential("Bearer from-file")),
        ("tokenFile: file, token: t", Credential("Bearer from-file")),
    ],
)
async def test_each_way_to_prove_oneself_is_used(tmp_path: Path, user: str, credential: Credential) -> None:
    """Tokens, token files, certificates as files or data, names with passwords; data beats files."""
    (tmp_path / "crt").write_text("CRT")
    (tmp_path / "key").write_text("KEY")
    (tmp_path / "file").write_text("from-file")
    assert await from_kubeconfig(a_config(tmp_path, user=user)).credentials.get() == credential


def test_files_are_watched_and_the_rest_is_fixed(tmp_path: Path) -> None:
    """What lies in a file is read again, what stands in the kubeconfig is not."""
    assert isinstance(from_kubeconfig(a_config(tmp_path)).credentials, Fixed)
    assert isinstance(from_kubeconfig(a_config(tmp_path, user="tokenFile: f")).credentials, Files)


async def test_flags_beat_the_file(tmp_path: Path) -> None:
    """Server, user, cluster, token, authority and impersonation can be given on the command line."""
    path = tmp_path / "config"
    path.write_text(
        """
contexts: [{name: x, context: {cluster: c, user: u}}, {name: y, context: {cluster: d, user: v}}]
clusters:
- {name: c, cluster: {server: "https://c", tls-server-name: name, proxy-url: "http://proxy:3128"}}
- {name: d, cluster: {server: "https://d", insecure-skip-tls-verify: true}}
users:
- {name: u, user: {token: t, as: someone, as-uid: "7", as-groups: [g], as-user-extra: {scope: [a]}}}
- {name: v, user: {token: w}}
"""
    )
    access = from_kubeconfig([path], context="x")
    assert (access.server, access.tls_server_name, access.proxy_url) == ("https://c", "name", "http://proxy:3128")
    assert access.impersonate == Impersonation("someone", "7", ("g",), {"scope": ("a",)})
    other = from_kubeconfig([path], context="x", cluster="d", user="v", as_user="me", as_groups=["h"])
    assert (other.server, other.insecure_skip_tls_verify) == ("https://d", True)
    assert other.impersonate == Impersonation("me", "", ("h",), {})
    assert (await other.credentials.get()).authorization == "Bearer w"
    assert from_kubeconfig([path], context="x", server="https://e").server == "https://e"
    assert from_kubeconfig([path], cluster="c", user="u").server == "https://c"
    token = from_kubeconfig([path], context="x", token="given")
    assert (await token.credentials.get()).authorization == "Bearer given"
    secure = from_kubeconfig([path], context="y", insecure_skip_tls_verify=False, certificate_authority=tmp_path / "ca")
    assert (secure.insecure_skip_tls_verify, secure.ca_file) == (False, tmp_path / "ca")


def test_an_authority_is_data_or_file(tmp_path: Path) -> None:
    """certificate-authority-data beats certificate-authority, the flag beats both, insecure as a flag beats all."""
    both = a_config(tmp_path, cluster=f"certificate-authority: ca, certificate-authority-data: {B64}")
    access = from_kubeconfig(both)
    assert (access.ca_data, access.ca_file) == (b"PEM", None)
    access = from_kubeconfig(both, certificate_authority=Path("/x"))
    assert (access.ca_data, access.ca_file) == (b"", Path("/x"))
    access = from_kubeconfig(both, insecure_skip_tls_verify=True)
    assert (access.ca_data, access.ca_file, access.insecure_skip_tls_verify) == (b"", None, True)
    assert from_kubeconfig(a_config(tmp_path, cluster="certificate-authority: ca")).ca_file == tmp_path / "ca"


@pytest.mark.parametrize("version", ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"])
def test_exec_plugins_of_both_versions_are_run(tmp_path: Path, version: str) -> None:
    """v1 and v1beta1 plugins are accepted, with the cluster's data when they ask for it."""
    user = (
        f"exec: {{apiVersion: {version}, command: login, args: [a], provideClusterInfo: true, interactiveMode: Never}}"
    )
    cluster = f"certificate-authority-data: {B64}, tls-server-name: n, proxy-url: 'http://p'"
    source = from_kubeconfig(a_config(tmp_path, user=user, cluster=cluster), environment={"A": "b"}).credentials
    assert isinstance(source, Exec)
    assert source._environment == {"A": "b"}
    assert source._info == {
        "server": "https://h:6443/",
        "certificate-authority-data": B64,
        "tls-server-name": "n",
        "proxy-url": "http://p",
    }


@pytest.mark.parametrize(
    ("parts", "arguments", "words"),
    [
        ({"user": "client-certificate-data: '!', client-key-data: x"}, {}, r"users\[u\].client-certificate-data"),
        ({"user": f"client-certificate-data: {B64}"}, {}, "client-key"),
        ({"user": "auth-provider: {name: gcp}"}, {}, r"users\[u\].auth-provider"),
        ({"user": "exec: {apiVersion: v0, command: x}"}, {}, "exec.apiVersion: 'v0'"),
        ({"user": "token: t, exec: {apiVersion: client.authentication.k8s.io/v1, command: x}"}, {}, "exec: together"),
        (
            {"user": "exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Always}"},
            {},
            "interactiveMode",
        ),
        ({"cluster": "certificate-authority-data: '%'"}, {}, r"clusters\[c\].certificate-authority-data"),
        ({"cluster": f"insecure-skip-tls-verify: true, certificate-authority-data: {B64}"}, {}, "insecure"),
        ({"cluster": "proxy-url: 'socks5://p:1080'"}, {}, "socks5"),
        ({}, {"context": "nope"}, "context 'nope' .* x"),
        ({}, {"cluster": "nope"}, "cluster 'nope' .* c"),
        ({}, {"user": "nope"}, "user 'nope' .* u"),
        ({}, {"server": "h:6443"}, "https:// URL"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, parts: dict[str, str], arguments: dict[str, Any], words: str) -> None:
    """SettingsError says what is wrong and where, and offers the names that exist."""
    with pytest.raises(SettingsError, match=words):
        from_kubeconfig(a_config(tmp_path, **parts), **arguments)


def test_no_context_is_a_mistake(tmp_path: Path) -> None:
    """Neither a current context nor cluster and user: nobody is guessed."""
    path = tmp_path / "config"
    path.write_text("clusters: [{name: c, cluster: {}}]\nusers: [{name: u}]")
    with pytest.raises(SettingsError, match="current-context"):
        from_kubeconfig([path])
    with pytest.raises(SettingsError, match=r"clusters\[c\].server: missing"):
        from_kubeconfig([path], cluster="c", user="u")


def test_impersonation_is_written_into_headers() -> None:
    """User, uid, groups and extra become headers, the extra's keys lower case and percent-encoded."""
    impersonation = Impersonation("u", "7", ("g", "h"), {"Example.com/Scope": ("a", "b")})
    assert impersonation.headers() == [
        ("Impersonate-User", "u"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "g"),
        ("Impersonate-Group", "h"),
        ("Impersonate-Extra-example.com%2Fscope", "a"),
        ("Impersonate-Extra-example.com%2Fscope", "b"),
    ]
    assert Impersonation().headers() == []


@pytest.mark.parametrize("server", ["", "h", "ftp://h", "https://"])
def test_a_server_is_a_url(server: str) -> None:
    """Anything but http and https with a host is refused."""
    with pytest.raises(SettingsError, match="URL is wanted"):
        Access(server)


def test_a_program_in_a_pod_is_its_service_account_unless_told_otherwise(tmp_path: Path) -> None:
    """A stated kubeconfig goes first, then the pod's own account, then ``$KUBECONFIG``."""
    parser = argparse.ArgumentParser()
    access_flags(parser)
    file = tmp_path / "config"
    in_a_pod = Surroundings(
        environment={"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBECONFIG": str(file)}, home=str(tmp_path)
    )
    by_hand = Surroundings(environment={"KUBECONFIG": str(file)}, home=str(tmp_path))
    with pytest.raises(SettingsError, match="serviceaccount"):  # looked for, and there is none here
        chosen_access(parser.parse_args([]), in_a_pod)
    for words, around in (([], by_hand), (["--kubeconfig", str(file)], in_a_pod)):
        with pytest.raises(SettingsError, match=str(file)):
            chosen_access(parser.parse_args(words), around)
