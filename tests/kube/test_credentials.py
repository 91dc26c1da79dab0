"""Promises of the credentials: renewed ones are picked up, refused ones are not used again, secrets are not shown."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from toe.errors import SettingsError
from toe.kube.credentials import Credential, Exec, Files, Fixed, basic

V1 = "client.authentication.k8s.io/v1"


def a_plugin(folder: Path, script: str, **changes: object) -> Exec:
    """Builds a plugin that is a Python program; it appends a line to ``runs`` each time it runs."""
    program = folder / "plugin.py"
    program.write_text(f"open({str(folder / 'runs')!r}, 'a').write('x')\nimport json, os, sys, time\n{script}\n")
    arguments: dict[str, object] = {"api_version": V1, "environment": {"PATH": os.defpath}} | changes
    return Exec(sys.executable, [str(program)], **arguments)  # type: ignore[arg-type]


def an_answer(**status: str) -> str:
    document = {"apiVersion": V1, "kind": "ExecCredential", "status": status}
    return f"print({json.dumps(json.dumps(document))})"


async def test_a_fixed_credential_stays() -> None:
    """A token written into a kubeconfig is used for ever, refused or not."""
    credential = Credential("Bearer x")
    assert await Fixed(credential).get() is credential
    assert await Fixed(credential).get(refused=credential) is credential
    assert (await Fixed().get()).authorization == ""


def test_a_credential_does_not_show_its_secrets() -> None:
    """A credential in a log or a traceback tells its kind only."""
    text = repr(Credential("Bearer secret", b"certificate", b"key"))
    assert text == "Credential(header+certificate)"
    assert repr(Credential()) == "Credential(anonymous)"


async def test_a_rotated_token_is_read_within_a_minute(tmp_path: Path) -> None:
    """A token file is read again once what was read is 60 s old, and not before."""
    now = 0.0
    token = tmp_path / "token"
    token.write_text("one\n")
    files = Files(token=token, clock=lambda: now)
    assert (await files.get()).authorization == "Bearer one"
    token.write_text("two")
    now = 59.0
    assert (await files.get()).authorization == "Bearer one"
    now = 60.0
    assert (await files.get()).authorization == "Bearer two"


async def test_a_refused_token_is_read_again_at_once(tmp_path: Path) -> None:
    """After a 401 the file counts, not the memory; a refusal of an older token changes nothing."""
    token = tmp_path / "token"
    token.write_text("one")
    files = Files(token=token, clock=lambda: 0.0)
    first = await files.get()
    token.write_text("two")
    second = await files.get(refused=first)
    assert second.authorization == "Bearer two"
    token.write_text("three")
    assert await files.get(refused=first) is second


async def test_a_token_that_vanishes_for_a_moment_stays_in_use(tmp_path: Path) -> None:
    """While a volume is being swapped the last good token is used; a file that never was is an error."""
    now = 0.0
    token = tmp_path / "token"
    files = Files(token=token, clock=lambda: now)
    with pytest.raises(SettingsError, match="token"):
        await files.get()
    token.write_text("")
    with pytest.raises(SettingsError, match="empty"):
        await files.get()
    token.write_text("one")
    first = await files.get()
    token.unlink()
    now = 100.0
    assert await files.get() is first
    token.write_text(" \n")
    now = 200.0
    assert await files.get() is first


async def test_an_unchanged_file_gives_the_same_credential(tmp_path: Path) -> None:
    """Reading the same again makes no new connections: it is the same object."""
    certificate, key = tmp_path / "c", tmp_path / "k"
    certificate.write_bytes(b"C")
    key.write_bytes(b"K")
    files = Files(certificate=certificate, key=key, max_age=0.0)
    first = await files.get()
    assert (first.certificate, first.key, first.authorization) == (b"C", b"K", "")
    assert await files.get() is first


async def test_a_plugin_runs_once_for_all_who_wait(tmp_path: Path) -> None:
    """Thirty requests that need a credential run the plugin once, and its answer is kept while it is valid."""
    plugin = a_plugin(tmp_path, "time.sleep(0.1)\n" + an_answer(token="t", expirationTimestamp="2099-01-01T00:00:00Z"))
    credentials = await asyncio.gather(*[plugin.get() for _ in range(30)])
    assert {credential.authorization for credential in credentials} == {"Bearer t"}
    assert plugin.runs == 1
    await plugin.get()
    assert (tmp_path / "runs").read_text() == "x"


async def test_a_plugin_runs_again_before_its_answer_expires(tmp_path: Path) -> None:
    """Ten seconds before the expiry the plugin is asked again."""
    wall = 0.0
    plugin = a_plugin(tmp_path, an_answer(token="t", expirationTimestamp="1970-01-01T00:01:40Z"), wall=lambda: wall)
    await plugin.get()
    wall = 89.0
    await plugin.get()
    assert plugin.runs == 1
    wall = 90.0
    await plugin.get()
    assert plugin.runs == 2


async def test_a_refused_answer_runs_the_plugin_once(tmp_path: Path) -> None:
    """However many requests got a 401 for the same credential, the plugin runs once more, not once for each."""
    plugin = a_plugin(tmp_path, an_answer(clientCertificateData="C", clientKeyData="K"))
    first = await plugin.get()
    assert (first.certificate, first.key) == (b"C", b"K")
    later = await asyncio.gather(*[plugin.get(refused=first) for _ in range(10)])
    assert len({id(credential) for credential in later}) == 1
    assert plugin.runs == 2
    assert await plugin.get(refused=first) is later[0]


async def test_a_plugin_is_told_what_it_may_know(tmp_path: Path) -> None:
    """It gets our environment, the kubeconfig's additions, and the cluster when that was asked for."""
    script = (
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        f"assert info.pop('apiVersion') == {V1!r}\n"
        "spec = {'interactive': False, 'cluster': {'server': 'https://x'}}\n"
        "assert info == {'kind': 'ExecCredential', 'spec': spec}, info\n"
        "assert os.environ['A'] == '2' and os.environ['B'] == '3' and 'HOME' not in os.environ\n"
        "assert sys.stdin.read() == ''\n"
    )
    plugin = a_plugin(
        tmp_path,
        script + an_answer(token="t"),
        environment={"A": "1", "B": "3"},
        extra={"A": "2"},
        info={"server": "https://x"},
    )
    assert (await plugin.get()).authorization == "Bearer t"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("sys.exit('no ticket')", "failed with 1: no ticket"),
        ("print('hello')", "not an ExecCredential"),
        ('print(\'{"apiVersion": "client.authentication.k8s.io/v1beta1", "status": {"token": "t"}}\')', "v1beta1"),
        (an_answer(), "neither token nor client certificate"),
        (an_answer(clientCertificateData="C"), "come together"),
        (an_answer(token="t", expirationTimestamp="tomorrow"), "expirationTimestamp"),
    ],
)
async def test_a_plugin_that_fails_is_quoted(tmp_path: Path, script: str, words: str) -> None:
    """The error says which plugin failed and what it said."""
    with pytest.raises(SettingsError, match=words):
        await a_plugin(tmp_path, script).get()


async def test_a_missing_plugin_gives_its_hint(tmp_path: Path) -> None:
    """A plugin that is not installed raises SettingsError with the kubeconfig's install hint."""
    plugin = Exec(str(tmp_path / "nope"), [], api_version=V1, environment={}, hint="install it")
    with pytest.raises(SettingsError, match="install it"):
        await plugin.get()


async def test_a_plugin_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin has limited time; afterwards it is killed and named."""
    monkeypatch.setattr("toe.kube.credentials.EXEC_TIMEOUT", 0.2)
    with pytest.raises(SettingsError, match="no answer within"):
        await a_plugin(tmp_path, "time.sleep(60)").get()


def test_basic_authorization_is_that_of_the_rfc() -> None:
    """Name and password are joined and encoded as RFC 7617 says."""
    assert basic("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
