"""Kept files are had through the API server, else at the address that is published, else nowhere."""

from pathlib import Path

import pytest
import yaml

from tests.cli.fakecluster import ARTIFACTS, FakeCluster
from tests.cli.scene import Person
from toe.cli.sentences import ComplaintError
from toe.cli.shelf import _Token
from toe.kube.credentials import Credential, Fixed

CONFIGMAP = "/api/v1/namespaces/toe-system/configmaps/toe-downloads"


def test_where_nobody_serves_them_the_way_out_is_told(person: Person) -> None:
    """Both ways that an administrator has."""
    ran = person("artifacts")
    assert ran.status == 1
    assert ran.err.startswith("error: files that are kept cannot be had here: the cluster serves no artifacts API\n")
    assert "APIService v1alpha1.artifacts.toe.run" in ran.err
    assert "ConfigMap toe-downloads in toe-system" in ran.err


def test_an_api_without_a_backend_is_told(cluster: FakeCluster, person: Person) -> None:
    """And nothing else is tried behind the person's back: another address would get his token."""
    cluster.answers["GET", ARTIFACTS] = (503, {"message": "service unavailable", "reason": "ServiceUnavailable"})
    cluster.answers["GET", CONFIGMAP] = (200, {"data": {"url": "https://collector.example"}})
    ran = person("artifacts", "--request-timeout", "1s")
    assert ran.err.splitlines() == [
        "error: the artifacts API does not answer: the API server cannot reach it (503)",
        "  an administrator sees why: kubectl describe apiservice v1alpha1.artifacts.toe.run",
        "  where the collector has an address of its own: --collector URL",
    ]


@pytest.mark.parametrize("url", ["http://collector.example", "https://collector.example/path", "https://a@b"])
def test_a_token_goes_to_an_address_only(cluster: FakeCluster, person: Person, url: str) -> None:
    """https, and nothing behind the host."""
    cluster.answers["GET", CONFIGMAP] = (200, {"data": {"url": url}})
    assert "https://HOST" in person("artifacts", "--token", "t").err
    assert "https://HOST" in person("artifacts", "--token", "t", "--collector", url).err


def test_who_has_no_token_is_told(cluster: FakeCluster, person: Person) -> None:
    """His certificate is for the API server alone."""
    ran = person("artifacts", "--collector", "https://127.0.0.1:1")
    assert ran.status == 2
    assert ran.err.startswith("error: the collector itself takes tokens only, and this user of the kubeconfig has none")


def test_nobody_acts_as_somebody_else_there(person: Person) -> None:
    """The collector is no API server."""
    ran = person("artifacts", "--collector", "https://127.0.0.1:1", "--token", "t", "--as", "bob")
    assert ran.err == "error: the collector itself lets nobody act as somebody else (--as)\n"


def test_an_address_that_does_not_answer_is_told(person: Person) -> None:
    """As what it is: not the cluster."""
    ran = person("artifacts", "--collector", "https://127.0.0.1:1", "--token", "t", "--request-timeout", "1s")
    assert ran.err.startswith("error: the collector cannot be reached: ")


async def test_only_the_token_goes_there() -> None:
    """Neither a certificate nor a password; a token that was refused is fetched anew."""
    whole = Credential("Bearer t", b"certificate", b"key")
    token = _Token(Fixed(whole))
    first = await token.get()
    assert first == Credential("Bearer t")
    assert await token.get(refused=first) is first
    with pytest.raises(ComplaintError, match="tokens only"):
        await _Token(Fixed(Credential("Basic dTpw"))).get()


def test_a_kubeconfig_with_a_token_is_enough(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """The way is gone until a connection is refused."""
    config = yaml.safe_load((tmp_path / "kubeconfig").read_text())
    config["users"] = [{"name": "me", "user": {"token": "t"}}]
    config["contexts"][0]["context"]["user"] = "me"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    cluster.answers["GET", CONFIGMAP] = (200, {"data": {"url": "https://127.0.0.1:1", "ca.crt": ""}})
    assert "the collector cannot be reached" in person("artifacts", "--request-timeout", "1s").err
