"""Certificates and kubeconfigs: two authorities, and one identity for each component."""

import base64
import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devcluster import nameserver
from devcluster.layout import NODE_NAME, Addresses, Layout

LIFETIME = timedelta(days=365)
# A certificate is valid from a little before now, for clocks that differ.
BACKDATE = timedelta(minutes=5)


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key (elliptic curve P-256: made in a millisecond, taken everywhere)."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return private_pem(self.key)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key in the form that Kubernetes reads, for certificates and for service-account tokens."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def authority(common_name: str, now: datetime) -> Identity:
    """A self-signed certificate that may sign others."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name, ())
    builder = _builder(name, name, key, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs=True), critical=True)
    return Identity(builder.sign(key, hashes.SHA256()), key)


def issue(
    signer: Identity,
    common_name: str,
    now: datetime,
    *,
    groups: tuple[str, ...] = (),
    hosts: tuple[str, ...] = (),
) -> Identity:
    """A certificate for a client, which Kubernetes knows by its name and groups, and with `hosts` for a server too.

    A host is a DNS name or an IP address.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(common_name, groups), signer.certificate.subject, key, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs=False), critical=True)
    # Python's own client, from 3.13 on, refuses a certificate that does not name its signer's key.
    signer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    builder = builder.add_extension(signer_key, critical=False)
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if hosts:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return Identity(builder.sign(signer.key, hashes.SHA256()), key)


def kubeconfig(server: str, trusted: Identity, user: Identity) -> str:
    """A kubeconfig with everything in it, for one user and one cluster."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "toe",
            "contexts": [{"name": "toe", "context": {"cluster": "toe", "user": "toe"}}],
            "clusters": [
                {
                    "name": "toe",
                    "cluster": {"server": server, "certificate-authority-data": _base64(trusted.certificate_pem)},
                }
            ],
            "users": [
                {
                    "name": "toe",
                    "user": {
                        "client-certificate-data": _base64(user.certificate_pem),
                        "client-key-data": _base64(user.key_pem),
                    },
                }
            ],
        },
        sort_keys=False,
    )


def create(layout: Layout, addresses: Addresses, now: datetime) -> None:
    """Write every certificate, key and kubeconfig of a cluster. The authorities are new each time."""
    ca = authority("toe-devcluster", now)
    front_proxy_ca = authority("toe-devcluster-front-proxy", now)
    service = "kubernetes.default.svc"
    server_hosts = ("localhost", "kubernetes", "kubernetes.default", service, f"{service}.cluster.local")
    node_hosts = (NODE_NAME, "localhost", "127.0.0.1", addresses.node)
    identities = {
        "ca": ca,
        "front-proxy-ca": front_proxy_ca,
        "apiserver": issue(
            ca, "kube-apiserver", now, hosts=(*server_hosts, "127.0.0.1", addresses.node, addresses.api_service)
        ),
        # Calls the kubelet for logs and exec; this group is how the API server of any cluster is allowed to.
        "apiserver-kubelet": issue(ca, "kube-apiserver-kubelet-client", now, groups=("system:masters",)),
        "front-proxy": issue(front_proxy_ca, "front-proxy-client", now),
        "admin": issue(ca, "admin", now, groups=("system:masters",)),
        "controller-manager": issue(ca, "system:kube-controller-manager", now),
        "scheduler": issue(ca, "system:kube-scheduler", now),
        "proxy": issue(ca, "system:kube-proxy", now),
        "coredns": issue(ca, nameserver.USER, now),
        "kubelet": issue(ca, f"system:node:{NODE_NAME}", now, groups=("system:nodes",), hosts=node_hosts),
    }
    layout.pki.mkdir(parents=True, exist_ok=True)
    layout.config.mkdir(parents=True, exist_ok=True)
    for name, identity in identities.items():
        _write(layout.pki / f"{name}.crt", identity.certificate_pem)
        _write(layout.pki / f"{name}.key", identity.key_pem)
    service_accounts = ec.generate_private_key(ec.SECP256R1())
    _write(layout.pki / "service-accounts.key", private_pem(service_accounts))
    _write(layout.pki / "service-accounts.pub", public_pem(service_accounts))
    for name in ("controller-manager", "scheduler", "proxy", "coredns", "kubelet"):
        config = kubeconfig(addresses.server, ca, identities[name])
        _write(layout.config / f"{name}.kubeconfig", config.encode())
    _write(layout.kubeconfig, kubeconfig(addresses.server, ca, identities["admin"]).encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file that only we can read."""
    path.touch(mode=0o600)
    path.write_bytes(content)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str, groups: tuple[str, ...]) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
