"""Promises of the kubeconfig reader: it merges as kubectl merges and names what is wrong."""

from pathlib import Path

import pytest

from toe.errors import SettingsError
from toe.kube import kubeconfig

FIRST = """
current-context: one
clusters:
- {name: c, cluster: {server: "https://first", certificate-authority: pki/ca.crt}}
contexts:
- {name: one, context: {cluster: c, user: u, namespace: n}}
users:
- {name: u, user: {client-certificate: u.crt, client-key: ../u.key, tokenFile: token}}
"""
SECOND = """
apiVersion: v1
kind: Config
preferences: {}
current-context: two
clusters:
- {name: c, cluster: {server: "https://second"}}
- {name: d, cluster: {server: "https://d", certificate-authority: /etc/ca.crt}}
contexts: null
users:
- name: p
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: ./bin/login, args: null, env: [{name: A, value: b}]}
- name: q
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: login}
- {name: empty, user: null}
"""


def test_the_first_file_wins(tmp_path: Path) -> None:
    """A name or current context that two files set is the first one's; what only one sets is there."""
    (tmp_path / "a").write_text(FIRST)
    (tmp_path / "b").write_text(SECOND)
    config = kubeconfig.read([tmp_path / "a", tmp_path / "missing", tmp_path / "b"])
    assert config.current_context == "one"
    assert config.clusters["c"].server == "https://first"
    assert config.clusters["d"].server == "https://d"
    assert sorted(config.users) == ["empty", "p", "q", "u"]
    assert config.origin["clusters", "c"] == str(tmp_path / "a")
    assert config.origin["users", "p"] == str(tmp_path / "b")


def test_relative_paths_are_relative_to_their_file(tmp_path: Path) -> None:
    """Paths, and a plugin named by path, start at the directory of the file that says them."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text(FIRST)
    (tmp_path / "b").write_text(SECOND)
    config = kubeconfig.read([tmp_path / "sub" / "a", tmp_path / "b"])
    user = config.users["u"]
    assert config.clusters["c"].certificate_authority == str(tmp_path / "sub/pki/ca.crt")
    assert user.client_certificate == str(tmp_path / "sub/u.crt")
    assert user.client_key == str(tmp_path / "sub/../u.key")
    assert user.token_file == str(tmp_path / "sub/token")
    assert config.clusters["d"].certificate_authority == "/etc/ca.crt"
    local, searched = config.users["p"].exec_, config.users["q"].exec_
    assert local is not None
    assert searched is not None
    assert local.command == str(tmp_path / "bin/login")
    assert searched.command == "login"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clusters: [{name: c, cluster: {server: 7}}]", "clusters.*server"),
        ("clusters: {}", "clusters"),
        ("users: [{user: {token: x}}]", "name"),
        ("a: [", "not YAML"),
        ("just text", "object"),
        ("users: [{name: u, user: {exec: {command: x}}}]", "apiVersion"),
        ("!!python/object/apply:os.system [ls]", "not YAML"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_field(tmp_path: Path, text: str, words: str) -> None:
    """SettingsError says which file, and which field of it."""
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(SettingsError, match=words) as caught:
        kubeconfig.read([path])
    assert str(path) in str(caught.value)


def test_no_file_at_all_is_an_error_that_names_the_places(tmp_path: Path) -> None:
    """All paths that were tried are told."""
    with pytest.raises(SettingsError, match=r"a, .*b"):
        kubeconfig.read([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(SettingsError, match="any path"):
        kubeconfig.read([])


def test_an_empty_file_is_an_empty_config(tmp_path: Path) -> None:
    """A file with nothing in it adds nothing."""
    (tmp_path / "a").write_text("")
    assert kubeconfig.read([tmp_path / "a"]).contexts == {}


def test_data_that_is_not_base64_names_its_field() -> None:
    """The error names the field that was given."""
    assert kubeconfig.data("aGk=", "x") == b"hi"
    with pytest.raises(SettingsError, match=r"users\[u\].client-key-data: not base64"):
        kubeconfig.data("!", "users[u].client-key-data")
