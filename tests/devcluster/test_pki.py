"""Each component has an identity, signed by an authority that the others trust."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devcluster import pki
from devcluster.layout import Addresses, Layout

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_certificate_is_signed_by_its_authority() -> None:
    """The chain holds, and does not hold for another authority."""
    signer, other = pki.authority("one", NOW), pki.authority("two", NOW)
    issued = pki.issue(signer, "admin", NOW).certificate
    issued.verify_directly_issued_by(signer.certificate)
    with pytest.raises(ValueError, match="Issuer"):
        issued.verify_directly_issued_by(other.certificate)


def test_name_and_groups_are_where_kubernetes_reads_them() -> None:
    """The user is the common name, the groups are the organizations."""
    subject = pki.issue(pki.authority("ca", NOW), "jane", NOW, groups=("one", "two")).certificate.subject
    assert [part.value for part in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["jane"]
    assert [part.value for part in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["one", "two"]


def test_only_with_hosts_it_is_a_servers() -> None:
    """A client's certificate cannot pretend to be a server."""
    signer = pki.authority("ca", NOW)
    client = pki.issue(signer, "c", NOW).certificate
    server = pki.issue(signer, "s", NOW, hosts=("localhost", "10.0.0.1")).certificate
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    for certificate, is_server in ((client, False), (server, True)):
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert (ExtendedKeyUsageOID.SERVER_AUTH in usages) is is_server
        assert ExtendedKeyUsageOID.CLIENT_AUTH in usages


def test_an_authority_may_sign_and_others_may_not() -> None:
    """The basic constraints say who is an authority."""
    signer = pki.authority("ca", NOW)
    for identity, is_authority in ((signer, True), (pki.issue(signer, "c", NOW), False)):
        constraints = identity.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical
        assert constraints.value.ca is is_authority


def test_it_is_valid_from_now_on() -> None:
    """From a little earlier, for clocks that differ, and for a year."""
    certificate = pki.authority("ca", NOW).certificate
    assert timedelta(0) < NOW - certificate.not_valid_before_utc <= timedelta(minutes=10)
    assert certificate.not_valid_after_utc - NOW == pki.LIFETIME


@pytest.fixture
def created(tmp_path: Path) -> Layout:
    layout = Layout("toe", state_root=tmp_path / "state", run_root=tmp_path / "run")
    pki.create(layout, Addresses(3), NOW)
    return layout


def test_everything_is_readable_by_its_owner_alone(created: Layout) -> None:
    """Keys and kubeconfigs are nobody else's business."""
    files = [path for path in created.state.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_the_administrators_kubeconfig_stands_alone(created: Layout, tmp_path: Path) -> None:
    """It names the server of this slot and holds certificate, key and authority; Python's own TLS takes them."""
    config = yaml.safe_load(created.kubeconfig.read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://10.213.3.2:6443"
    context = ssl.create_default_context(cafile=str(created.pki / "ca.crt"))
    context.load_cert_chain(str(created.pki / "admin.crt"), str(created.pki / "admin.key"))
    assert set(config["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


def test_no_component_is_the_administrator(created: Layout) -> None:
    """Only the administrator and the API server's own client are in the group that may do everything."""
    mighty = set()
    for path in created.pki.glob("*.crt"):
        subject = x509.load_pem_x509_certificate(path.read_bytes()).subject
        if "system:masters" in [part.value for part in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]:
            mighty.add(path.stem)
    assert mighty == {"admin", "apiserver-kubelet"}
