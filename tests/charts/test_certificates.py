"""The webhook's certificate where the cluster has no cert-manager."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from charts.certificates import AUTHORITY_LIFE, LIFE, make, make_authority
from toe.kube.authority import Authority

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = ("webhook.toe-system.svc", "webhook.toe-system")


def test_the_leaf_is_for_the_names_and_signed_by_the_authority() -> None:
    """The API server checks both."""
    pair = make(NAMES, NOW)
    authority, leaf = (x509.load_pem_x509_certificate(pem.encode()) for pem in (pair.authority, pair.certificate))
    leaf.verify_directly_issued_by(authority)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(names.get_values_for_type(x509.DNSName)) == NAMES
    assert ssl.create_default_context(cadata=pair.authority).cert_store_stats()["x509_ca"] == 1


def test_an_authority_that_stays_signs_what_clients_accept(tmp_path: Path) -> None:
    """The pods' own leaves, for years; it can make no other authority."""
    certificate, key = make_authority(NOW)
    (tmp_path / "ca.crt").write_text(certificate)
    (tmp_path / "ca.key").write_text(key)
    authority = x509.load_pem_x509_certificate(certificate.encode())
    assert authority.not_valid_after_utc == NOW + AUTHORITY_LIFE
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    signer = Authority(tmp_path / "ca.crt", tmp_path / "ca.key", NAMES, lambda: NOW)
    leaf = x509.load_pem_x509_certificate(signer.load().chain)
    leaf.verify_directly_issued_by(authority)
    assert authority.not_valid_before_utc < leaf.not_valid_after_utc < authority.not_valid_after_utc


def test_it_is_good_now_and_for_a_year() -> None:
    """With a little room for clocks that are behind."""
    leaf = x509.load_pem_x509_certificate(make(NAMES, NOW).certificate.encode())
    assert leaf.not_valid_before_utc < NOW
    assert leaf.not_valid_after_utc == NOW + LIFE
    assert timedelta(days=365) == LIFE


def test_no_two_installations_share_a_key() -> None:
    """Each has its own authority."""
    assert make(NAMES, NOW).key != make(NAMES, NOW).key
