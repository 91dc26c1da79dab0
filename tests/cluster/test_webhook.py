"""``toe webhook`` as a process, called by a real API server: its refusals, and the catalog that follows the configs."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
import yaml

from devcluster import Cluster
from tests.cluster.hooked import (
    ACCOUNT,
    CATALOG,
    HOOKS,
    REGISTRATION,
    as_account,
    endpoint,
    free_port,
    install_catalog,
    install_rights,
    serving,
    until_asked,
    until_refused,
)
from tests.cluster.program import Audit, running
from tests.cluster.rest import Object, RefusedError, Rest, condition, configs, phase, pods, reason, runs
from tests.cluster.stage import Stage, a_config, a_run, install
from tests.cluster.toykubelet import ToyKubelet
from tests.webhook.pki import Signer, an_authority
from toe.api.crd import KINDS, custom_resource_definition
from toe.api.fence.requester import twin
from toe.api.webhooks import mutating, validating

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

SLOW = {"timeoutSeconds": 1}
_numbers = count(1)


class Hooked:
    """Is a webhook that signs its own certificates, and the API server that asks it."""

    def __init__(self, cluster: Cluster, port: int, authority: bytes) -> None:
        self.cluster, self.port, self.authority = cluster, port, authority
        self.hooks = validating(endpoint(cluster, port, authority))


@pytest.fixture(scope="module")
async def hooked(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hooked]:
    """One webhook for all tests, with the rights of its account and with an authority of its own."""
    place = tmp_path_factory.mktemp("webhook")
    async with Rest.of(control_plane.kubeconfig) as rest:
        await install(rest)
        await install_catalog(rest)
        await install_rights(rest)
        certificate, key = an_authority().save(place)
        found = Hooked(control_plane, free_port(), certificate.read_bytes())
        flags = ("--ca-cert", str(certificate), "--ca-key", str(key), "--serving-name", control_plane.host_address)
        async with serving(as_account(control_plane, place), found.port, *flags):
            await rest.apply(HOOKS, found.hooks)
            try:
                yield found
            finally:
                await rest.delete(HOOKS)


@pytest.fixture
async def scene(hooked: Hooked) -> AsyncIterator[Stage]:
    """A namespace of its own, with a webhook that the API server asks before anything of ours is created."""
    async with Rest.of(hooked.cluster.kubeconfig) as rest, ToyKubelet(rest):
        name = await rest.namespace(f"hooked-{next(_numbers)}")
        stage = Stage(rest, hooked.cluster.kubeconfig, name)
        await stage.tool()
        await until_asked(rest, name, name)
        try:
            yield stage
        finally:
            await asyncio.gather(rest.delete(runs(name)), rest.delete(pods(name), grace=0), rest.delete(configs(name)))


async def test_all_violations_are_told_at_creation(scene: Stage) -> None:
    """In one answer, with the fields, to whoever creates it."""
    run = a_run("bad", scene.name, {"a": "yes"}, duration="9h")
    run["spec"]["tool"]["args"] = ["-x"]
    with pytest.raises(RefusedError) as refused:
        await scene.rest.create(runs(scene.name), run)
    assert refused.value.status == 403
    assert "spec.tool.args[0]" in str(refused.value)
    assert "spec.tool.duration" in str(refused.value)


async def test_kubectl_shows_what_is_wrong_and_what_is_worth_knowing(scene: Stage, hooked: Hooked) -> None:
    """Refusals as one sentence each, warnings as warnings."""
    await scene.pod("a")
    await scene.tool(security={"capabilities": {"add": ["SYS_ADMIN"]}})
    await scene.rest.until(CATALOG, lambda catalog: (_tool(catalog, scene.name) or {}).get("add") == ["SYS_ADMIN"])
    status, _, said = await _kubectl(hooked.cluster, scene.name, a_run("good", scene.name, {"a": "yes"}))
    assert status == 0
    for words in ("1 pod matches now", "is of tier High", "has no effect unless", "drop ALL", "@sha256: digest"):
        assert any(line.startswith("Warning:") and words in line for line in said.splitlines()), said
    status, _, said = await _kubectl(hooked.cluster, scene.name, a_run("bad", scene.name, {"a": "yes"}, duration="9h"))
    assert status == 1
    assert 'Error from server (Forbidden): error when creating "STDIN": admission webhook "powertool.toe.run" ' in said
    assert "denied the request: spec.tool.duration: " in said


async def test_a_run_whose_config_is_on_its_way_is_let_in(scene: Stage) -> None:
    """A directory is applied in any order."""
    run = await scene.rest.create(runs(scene.name), a_run("early", "not-yet", {"a": "yes"}))
    assert run["spec"]["requester"]["username"] == "admin"


async def test_a_dry_run_is_judged_and_writes_nothing(scene: Stage, hooked: Hooked) -> None:
    """50 of them: no write of toe's beside access reviews, which are stored nowhere; nothing is left."""
    audit = Audit(hooked.cluster.audit_log)
    for number in range(50):
        await scene.rest.create(runs(scene.name), a_run(f"dry-{number}", scene.name, {"a": "yes"}), dryRun="All")
    run = a_run("bad", scene.name, {"a": "yes"}, duration="9h")
    with pytest.raises(RefusedError, match="longer than"):
        await scene.rest.create(runs(scene.name), run, dryRun="All")
    # The catalog may still be following configs that other tests made or removed before.
    assert [write for write in audit.writes() if "/powertoolcatalogs/" not in write] == []
    assert (await scene.rest.get(runs(scene.name)))["items"] == []


async def test_a_config_that_cannot_be_used_is_refused(scene: Stage) -> None:
    """Outside the system namespace, with a name that is taken, with a capability that there is not."""
    twin_config = a_config(f"{scene.name}-twin")
    twin_config["spec"]["name"] = scene.name
    with pytest.raises(RefusedError, match=f"held by the PowerToolConfig {scene.name}"):
        await scene.rest.create(configs(), twin_config)
    with pytest.raises(RefusedError, match="only in the namespace toe-system"):
        await scene.rest.create(configs(namespace=scene.name), {**a_config("x"), "metadata": {"name": "x"}})
    with pytest.raises(RefusedError, match="did you mean SYS_ADMIN"):
        await scene.rest.create(configs(), a_config("caps", security={"capabilities": {"add": ["CAP_SYS_ADMIN"]}}))


async def test_the_catalog_follows_the_configs(scene: Stage) -> None:
    """What is Ready is in it, what is suspended is not, and what somebody else wrote is put right."""
    await scene.rest.until(CATALOG, lambda catalog: _tool(catalog, scene.name) is not None)
    await scene.tool(image="registry.example/tool:2")
    await scene.rest.until(CATALOG, lambda c: (_tool(c, scene.name) or {}).get("image") == "registry.example/tool:2")
    await scene.rest.merge(CATALOG, {"spec": {"tools": []}})
    await scene.rest.until(CATALOG, lambda catalog: _tool(catalog, scene.name) is not None)
    await scene.tool(suspended=True)
    await scene.rest.until(CATALOG, lambda catalog: _tool(catalog, scene.name) is None)


def _is_current(catalog: Object) -> bool:
    """Tells whether the catalog says of itself, as it is now, that it is what the configs say."""
    status = catalog.get("status", {})
    told = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    return told == {"Current": "True"} and status["observedGeneration"] == catalog["metadata"]["generation"]


async def test_a_change_that_the_catalog_does_not_show_writes_nothing(scene: Stage, hooked: Hooked) -> None:
    """A description is no security; at rest nobody writes."""
    await scene.rest.until(
        CATALOG, lambda catalog: _tool(catalog, scene.name) is not None and _is_current(catalog), seconds=30
    )
    audit = Audit(hooked.cluster.audit_log)
    await scene.tool(description="what it is for")
    await until_asked(scene.rest, scene.name, scene.name)
    await asyncio.sleep(0.5)
    assert audit.writes() == []


@pytest.mark.parametrize(
    ("user", "verb", "group", "resource", "subresource", "name"),
    [
        ("toe-webhook", "patch", "", "pods", "ephemeralcontainers", "a"),
        ("toe-webhook", "update", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "toe"),
        ("toe-webhook", "patch", "codriverlabs.ai.toe.run", "powertoolconfigs", "", "a"),
        ("toe-webhook", "get", "", "secrets", "", "toe-webhook-ca"),
        ("toe-controller", "patch", "codriverlabs.ai.toe.run", "powertoolcatalogs", "", "catalog"),
        ("toe-controller", "update", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "toe"),
    ],
)
async def test_who_writes_the_catalog_cannot_inject_and_the_other_way_round(
    scene: Stage, user: str, verb: str, group: str, resource: str, subresource: str, name: str
) -> None:
    """And neither account touches what makes the API server ask."""
    attributes = {"namespace": "toe-system", "verb": verb, "group": group, "resource": resource, "name": name}
    account = ACCOUNT.rpartition(":")[0] + f":{user}"
    spec = {"user": account, "resourceAttributes": {**attributes, "subresource": subresource}}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    answer = await scene.rest.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert not answer["status"]["allowed"]


@asynccontextmanager
async def _impostor(cluster: Cluster, signer: Signer, place: Path, case: str) -> AsyncIterator[int]:
    """Serves something in place of the webhook: silence, nonsense, an answer to another question, a bad certificate."""
    name = "elsewhere.svc" if case == "another name" else cluster.host_address
    files = signer.issue(place, name, life=timedelta(days=1 if case == "expired" else 9000))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    answers = {
        "nonsense": b"{",
        "another uid": b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview",'
        b'"response":{"uid":"other","allowed":true}}',
    }

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            if case not in answers:
                await asyncio.sleep(20)
            body = answers[case]
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "0.0.0.0", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("down", "connection refused"),
        ("slow", "deadline exceeded"),
        ("expired", "certificate has expired"),
        ("another authority", "unknown authority"),
        ("another name", "certificate"),
        ("nonsense", "failed calling webhook"),
        ("another uid", "failed calling webhook"),
    ],
)
async def test_whatever_is_wrong_with_the_webhook_creation_is_refused(
    scene: Stage, hooked: Hooked, tmp_path: Path, case: str, words: str
) -> None:
    """It fails closed; what exists can still be canceled and deleted; when it is back everything goes on."""
    await scene.run("before", "a")
    signer = an_authority()
    authority, _ = signer.save(tmp_path)
    async with AsyncExitStack() as stack:
        port = free_port() if case == "down" else hooked.port
        if case not in ("down", "another authority"):
            port = await stack.enter_async_context(_impostor(hooked.cluster, signer, tmp_path, case))
        hooks = validating(endpoint(hooked.cluster, port, authority.read_bytes()))
        hooks["webhooks"] = [{**hook, **SLOW} for hook in hooks["webhooks"]]
        await scene.rest.apply(HOOKS, hooks)
        said = await until_refused(scene.rest, scene.name, a_run("after", scene.name, {"a": "yes"}), words)
        assert "powertool.toe.run" in said
        await scene.rest.merge(runs(scene.name, "before"), {"spec": {"cancel": True}})
        await scene.rest.delete(runs(scene.name, "before"))
        await scene.rest.apply(HOOKS, hooked.hooks)
    await until_asked(scene.rest, scene.name, scene.name)


async def test_runs_go_on_while_the_webhook_is_down(scene: Stage, hooked: Hooked) -> None:
    """A run that was let in is carried to its end by the controller; a new one does not come about."""
    await scene.pod("a")
    await scene.run("before", "a")
    await scene.rest.apply(HOOKS, validating(endpoint(hooked.cluster, free_port(), hooked.authority)))
    await until_refused(scene.rest, scene.name, a_run("after", scene.name, {"a": "yes"}), "connection refused")
    async with running(scene.kubeconfig):
        assert phase(await scene.finished("before")) == "Completed"
    await scene.rest.apply(HOOKS, hooked.hooks)
    await scene.expect_one_tool_for_each_target()


async def test_what_came_past_the_webhook_is_judged_before_anything_is_injected(scene: Stage, hooked: Hooked) -> None:
    """Its configuration was taken away: the controller says what the webhook would have said."""
    await scene.pod("a")
    run = a_run("bad", scene.name, {"a": "yes"}, duration="9h")
    with pytest.raises(RefusedError) as refused:
        await scene.rest.create(runs(scene.name), run)
    await scene.rest.delete(HOOKS)
    async with asyncio.timeout(30):
        while True:
            try:
                await scene.rest.create(runs(scene.name), run)
                break
            except RefusedError:
                await asyncio.sleep(0.2)
    async with running(scene.kubeconfig):
        failed = await scene.finished("bad")
    await scene.rest.apply(HOOKS, hooked.hooks)
    assert reason(failed, "Failed")[1] in refused.value.message
    assert await scene.tool_containers() == {"a": []}


async def test_a_mounted_certificate_is_renewed_under_the_api_server(
    scene: Stage, hooked: Hooked, tmp_path: Path
) -> None:
    """Creations go on while the files change, and the bundle holds both authorities for a while: none is refused."""
    cluster, port = hooked.cluster, free_port()
    old, new = an_authority("old"), an_authority("new")
    for name, signer in (("old", old), ("new", new)):
        (tmp_path / name).mkdir()
        signer.save(tmp_path / name)
    bundles = {name: (tmp_path / name / "ca.crt").read_bytes() for name in ("old", "new")}
    files = old.issue(tmp_path, cluster.host_address)
    flags = ("--tls-cert", str(files[0]), "--tls-key", str(files[1]))
    async with serving(cluster.kubeconfig, port, *flags):
        both = bundles["old"] + bundles["new"]
        accepted = 0
        for bundle, renew in ((bundles["old"], False), (both, False), (both + b"\n", True), (bundles["new"], False)):
            if renew:
                new.issue(tmp_path, cluster.host_address)
            await scene.rest.apply(HOOKS, validating(endpoint(cluster, port, bundle)))
            for _ in range(10):
                run = a_run(f"steady-{accepted}", scene.name, {"a": "yes"})
                await scene.rest.create(runs(scene.name), run, dryRun="All")
                accepted += 1
                await asyncio.sleep(0.05)
        await scene.rest.apply(HOOKS, hooked.hooks)
        await until_asked(scene.rest, scene.name, scene.name)


@pytest.mark.parametrize("version", ["1.33", "1.35"])
async def test_before_kubernetes_1_36_the_webhook_stamps(tmp_path: Path, version: str) -> None:
    """The caller, whatever he wrote; where the stamp is lost nothing is created."""
    async with AsyncExitStack() as stack:
        cluster = Cluster(f"toe-test-hook-{free_port()}", node=False, emulated_version=version, report=lambda _: None)
        await asyncio.to_thread(cluster.__enter__)
        stack.push_async_callback(asyncio.to_thread, cluster.__exit__, None, None, None)
        rest = await stack.enter_async_context(Rest.of(cluster.kubeconfig))
        for kind in KINDS:
            definition = custom_resource_definition(kind)
            place = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}"
            await rest.apply(place, definition)
            await rest.until(place, lambda crd: condition(crd, "Established") == "True")
        for namespace in ("toe-system", "old"):
            await rest.namespace(namespace)
        await install_catalog(rest)
        certificate, key = an_authority().save(tmp_path)
        port = free_port()
        flags = ("--ca-cert", str(certificate), "--ca-key", str(key), "--serving-name", cluster.host_address)
        await stack.enter_async_context(serving(cluster.kubeconfig, port, *flags))
        for policy, plural in zip(twin(), ("policies", "policybindings"), strict=True):
            place = f"{REGISTRATION}/validatingadmission{plural}/{policy['metadata']['name']}"
            await rest.apply(place, policy)
        there = endpoint(cluster, port, certificate.read_bytes())
        await rest.apply(HOOKS, validating(there))
        stamping = f"{REGISTRATION}/mutatingwebhookconfigurations/toe"
        await until_refused(rest, "old", a_run("unstamped", "any", {"a": "yes"}), "requester")
        await rest.apply(stamping, mutating(there))
        forged = a_run("forged", "any", {"a": "yes"}, requester={"username": "root", "groups": ["system:masters"]})
        async with asyncio.timeout(30):
            while True:
                try:
                    run = await rest.create(runs("old"), forged)
                    break
                except RefusedError:
                    await asyncio.sleep(0.2)
        assert run["spec"]["requester"]["username"] == "admin"
        dry = await rest.create(runs("old"), {**forged, "metadata": {"generateName": "dry-"}}, dryRun="All")
        assert dry["spec"]["requester"] == run["spec"]["requester"]
        await rest.delete(stamping)
        await until_refused(rest, "old", a_run("late", "any", {"a": "yes"}), "requester")


async def _kubectl(cluster: Cluster, namespace: str, obj: Object) -> tuple[int, str, str]:
    """Creates an object as a person does; returns the exit status and what was printed."""
    command = [
        str(cluster.kubectl_program()),
        f"--kubeconfig={cluster.kubeconfig}",
        "create",
        "-n",
        namespace,
        "-f",
        "-",
    ]
    done = await asyncio.to_thread(
        subprocess.run, command, input=yaml.safe_dump(obj), capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def _tool(catalog: Object, name: str) -> Object | None:
    return next((tool for tool in catalog["spec"].get("tools", ()) if tool["name"] == name), None)
