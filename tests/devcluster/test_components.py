"""The components' flags and files say what the cluster is."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from devcluster.components import Settings, components, configure
from devcluster.layout import Addresses, Layout

ADDRESSES = Addresses(3)
SETTINGS = Settings("v1.36.3")


def commands(settings: Settings) -> dict[str, tuple[str, ...]]:
    paths = {name: Path("/bin") / name for name in settings.programs}
    return {name: one.command for name, one in components(settings, Layout("toe"), ADDRESSES, paths).items()}


def test_a_control_plane_is_two_programs() -> None:
    """And a third where it is asked for; a node needs them all."""
    alone = replace(SETTINGS, node=False, controller_manager=False)
    assert alone.names == ("etcd", "kube-apiserver")
    assert replace(alone, controller_manager=True).names == (*alone.names, "kube-controller-manager")
    assert set(replace(alone, node=True).names) >= {"kube-controller-manager", "kubelet", "kube-proxy", "containerd"}


def test_the_api_server_listens_where_everybody_reaches_it() -> None:
    """Bound and advertised is the node's address: loopback would leave the Service `kubernetes` without an answer."""
    told = commands(SETTINGS)["kube-apiserver"]
    assert "--bind-address=10.213.3.2" in told
    assert "--advertise-address=10.213.3.2" in told


def test_extra_arguments_come_last() -> None:
    """So that they win over ours."""
    told = commands(replace(SETTINGS, extra_apiserver_args=("--v=4", "--audit-log-path=/x")))["kube-apiserver"]
    assert told[-2:] == ("--v=4", "--audit-log-path=/x")


def test_an_emulated_version_is_told_to_all_who_know_it() -> None:
    """API server, controllers and scheduler agree on what exists."""
    told = commands(replace(SETTINGS, emulated_version="1.33"))
    having = {name for name, command in told.items() if "--emulated-version=1.33" in command}
    assert having == {"kube-apiserver", "kube-controller-manager", "kube-scheduler"}
    assert not any("emulated" in flag for command in commands(SETTINGS).values() for flag in command)


@pytest.fixture
def configured(tmp_path: Path) -> Layout:
    layout = Layout("toe", state_root=tmp_path / "state", run_root=tmp_path / "run")
    configure(SETTINGS, layout, ADDRESSES, "/toe-toe/pods", "overlayfs", ("192.0.2.53",))
    return layout


def test_containerd_keeps_everything_below_our_directories(configured: Layout) -> None:
    """Nothing of it is shared with another containerd of the machine."""
    config = tomllib.loads((configured.config / "containerd.toml").read_text())
    assert config["root"].startswith(str(configured.state))
    plugins = config["plugins"]
    runtime = plugins["io.containerd.cri.v1.runtime"]
    assert runtime["netns_mounts_under_state_dir"] is True
    assert runtime["containerd"]["runtimes"]["runc"]["options"]["Root"].startswith(str(configured.run))
    for place in (
        config["state"],
        config["grpc"]["address"],
        config["ttrpc"]["address"],
        plugins["io.containerd.shim.v1.manager"]["socket_dir"],
    ):
        assert place.startswith(str(configured.run))


def test_the_kubelet_works_without_rights_that_containers_lack(configured: Layout) -> None:
    """cgroup v1, no CAP_SYS_RESOURCE, no systemd: each has its setting."""
    config = yaml.safe_load((configured.config / "kubelet.yaml").read_text())
    assert config["failCgroupV1"] is False
    assert config["cgroupDriver"] == "cgroupfs"
    assert config["cgroupRoot"] == "/toe-toe/pods"
    assert config["featureGates"] == {"KubeletInUserNamespace": True}
    assert config["authentication"]["anonymous"] == {"enabled": False}


def test_pods_are_told_the_dns_of_this_cluster(configured: Layout) -> None:
    """The address of its Service, and the domain that its server answers for."""
    config = yaml.safe_load((configured.config / "kubelet.yaml").read_text())
    assert config["clusterDNS"] == ["10.215.3.10"]
    assert f"kubernetes {config['clusterDomain']} " in (configured.config / "Corefile").read_text()


def test_names_outside_are_asked_for_on_the_host() -> None:
    """Both DNS servers are one program; the forwarder alone of all components is in the host's network."""
    paths = {name: Path("/bin") / name for name in SETTINGS.programs}
    made = components(SETTINGS, Layout("toe"), ADDRESSES, paths)
    assert made["coredns"].command[0] == made["dns-forwarder"].command[0] == "/bin/coredns"
    assert [name for name, one in made.items() if one.on_host] == ["dns-forwarder"]
    assert SETTINGS.programs.count("coredns") == 1


def test_pods_have_addresses_of_this_cluster(configured: Layout) -> None:
    """The network of the slot, with its bookkeeping in our own directory."""
    config = json.loads((configured.config / "cni/10-toe.conflist").read_text())
    ipam = config["plugins"][0]["ipam"]
    assert ipam["ranges"] == [[{"subnet": "10.214.3.0/24"}]]
    assert ipam["dataDir"].startswith(str(configured.state))


def test_a_control_plane_alone_has_no_nodes_files(tmp_path: Path) -> None:
    """Only the audit policy, which is of level Metadata: no object and no secret gets into the log."""
    layout = Layout("toe", state_root=tmp_path, run_root=tmp_path)
    configure(replace(SETTINGS, node=False), layout, ADDRESSES, "/x", "overlayfs", ())
    assert [path.name for path in layout.config.iterdir()] == ["audit.yaml"]
    policy = yaml.safe_load((layout.config / "audit.yaml").read_text())
    assert [rule["level"] for rule in policy["rules"]] == ["Metadata"]
