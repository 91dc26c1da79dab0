"""The webhook's certificate where the cluster has no cert-manager."""

import ssl
from datetime import UTC, datetime, timedelta

from cryptography import x509

from charts.certificates import LIFE, make

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


def test_it_is_good_now_and_for_a_year() -> None:
    """With a little room for clocks that are behind."""
    leaf = x509.load_pem_x509_certificate(make(NAMES, NOW).certificate.encode())
    assert leaf.not_valid_before_utc < NOW
    assert leaf.not_valid_after_utc == NOW + LIFE
    assert timedelta(days=365) == LIFE


def test_no_two_installations_share_a_key() -> None:
    """Each has its own authority."""
    assert make(NAMES, NOW).key != make(NAMES, NOW).key
