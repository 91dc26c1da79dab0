"""Keys: where things are kept. Pure, and the only place that makes them.

A reader finds an artifact by eye: ``production/slow-checkout/2026-10-24-6f1c2a9e/checkout-7d9f4/flame.svg``. What a
tool called its file is data: it is one name of the key, whatever stands in it, and no two files share one. The layout
is in docs/reference/collector.md.
"""

import hashlib
import re
from datetime import date

from toe.errors import StoreError

OWN = ".toe/"
"""Begins the keys of what is no artifact: claims, receipts, downloads, holds."""
RECORD = ".toe.json"
"""Ends the key of a record; what stands before it is the key of its content."""
CLAIMS, COMPLETE, SESSIONS = f"{OWN}claims/", f"{OWN}complete/", f"{OWN}sessions/"
RECEIPTS, DOWNLOADS, HOLDS, INCOMING = f"{OWN}receipts/", f"{OWN}downloads/", f"{OWN}holds/", f"{OWN}incoming/"

MOST_KEY_BYTES = 1024
"""What S3 takes. Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""
MOST_SEGMENT_BYTES = 255
"""NAME_MAX of Linux file systems."""
MOST_FILE_BYTES = 150
"""Of an encoded file name; beyond it follows a hash."""
MOST_SEGMENTS = 16
HASH_DIGITS = 10
"""Of an artifact's name."""

_SEGMENT = re.compile(r"[A-Za-z0-9_%-][A-Za-z0-9._%-]*")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_ID = re.compile(r"[A-Za-z0-9_-]+")
_DAY_OF_RUN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}-([A-Za-z0-9_-]{1,8})")
_CUT_ESCAPE = re.compile(r"%[0-9A-F]?$")


def key_parts(key: str) -> tuple[str, ...]:
    """Returns the names that a key consists of.

    Raises StoreError for what is no key: an empty name, one that begins with a dot (but ``.toe`` in front), a byte
    other than ``A-Z a-z 0-9 . _ % -``, or too much of them. So ``..``, NUL, a backslash or an absolute path is none.
    """
    parts = tuple(key.split("/"))
    names = parts[1:] if parts[0] == OWN[:-1] and len(parts) > 1 else parts
    if (
        len(key) > MOST_KEY_BYTES
        or len(parts) > MOST_SEGMENTS
        or not all(len(name) <= MOST_SEGMENT_BYTES and _SEGMENT.fullmatch(name) for name in names)
    ):
        raise StoreError(f"{key[:200]!r} is no key")
    return parts


def prefix_parts(prefix: str) -> tuple[str, ...]:
    """Returns the names of a prefix: empty, or a key and a slash. Raises StoreError for anything else."""
    if not prefix:
        return ()
    if prefix == OWN:
        return (OWN[:-1],)
    if not prefix.endswith("/"):
        raise StoreError(f"{prefix[:200]!r} is no prefix of whole names")
    return key_parts(prefix[:-1])


def file_segment(name: str) -> str:
    """Returns the one name of a key that stands for what a tool called its file; two files never get the same.

    Every byte but ``A-Z a-z 0-9 . _ -`` becomes ``%XX``, and so does a leading dot, and the first one of a trailing
    ``.toe.json``, which would be taken for a record. A result of more than 150 bytes is cut there, and ``-`` and 32
    digits of the sha256 of the whole name follow: longer than any that was not cut. Raises StoreError for no name.
    """
    raw = name.encode("utf-8", "surrogatepass")
    if not raw:
        raise StoreError("a file has a name")
    escaped = "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in raw)
    if escaped.endswith(RECORD):
        escaped = f"{escaped.removesuffix(RECORD)}%2E{RECORD[1:]}"
    if escaped.startswith("."):
        escaped = f"%2E{escaped[1:]}"
    if len(escaped) <= MOST_FILE_BYTES:
        return escaped
    kept = _CUT_ESCAPE.sub("", escaped[:MOST_FILE_BYTES])
    return f"{kept}-{hashlib.sha256(raw).hexdigest()[:32]}"


def artifact_key(*, namespace: str, run: str, run_uid: str, day: date, pod: str, name: str) -> str:
    """Returns where the content of a file is kept. ``day`` is the UTC day on which its ticket was claimed.

    Raises StoreError when a name is none that Kubernetes gives.
    """
    for word in (namespace, run, pod):
        if not _SUBDOMAIN.fullmatch(word):
            raise StoreError(f"{word[:200]!r} is no name of a Kubernetes object")
    if not _ID.fullmatch(run_uid):
        raise StoreError(f"{run_uid[:200]!r} is no UID")
    key = f"{namespace}/{run}/{day:%Y-%m-%d}-{run_uid[:8]}/{pod}/{file_segment(name)}"
    key_parts(record_key(key))
    return key


def record_key(key: str) -> str:
    """Returns where the record of a content is kept: beside it."""
    return key + RECORD


def is_record(key: str) -> bool:
    """Tells whether a key is one of a record of an artifact."""
    return key.endswith(RECORD) and not key.startswith(OWN)


def content_key(record: str) -> str:
    """Returns the key of the content that the record under this key is about."""
    return record.removesuffix(RECORD)


def artifact_name(run: str, key: str) -> str:
    """Returns what people call an artifact: its run's name and ten digits of the sha256 of its key."""
    return f"{run}-{_hash(key)[:HASH_DIGITS]}"


def claim_key(ticket_id: str) -> str:
    """Returns where it is kept that a ticket was claimed; only the hash of its id is told."""
    return f"{CLAIMS}{_hash(ticket_id)}.json"


def complete_key(ticket_id: str) -> str:
    """Returns where it is kept that nothing more comes with a ticket."""
    return f"{COMPLETE}{_hash(ticket_id)}.json"


def hold_key(namespace: str, run_uid: str) -> str:
    """Returns where a legal hold on a run is kept; nothing of a run that has one is deleted."""
    return f"{HOLDS}{namespace}/{run_uid}"


def receipt_key(record: bytes, day: date) -> str:
    """Returns where the receipt for the deletion of what a record is about is kept; one for each record.

    ``day`` is the UTC day on which it was kept, and so the same whenever the deletion is done.
    """
    return f"{RECEIPTS}{day:%Y-%m-%d}/{hashlib.sha256(record).hexdigest()}.json"


def run_uid_digits(key: str) -> str:
    """Returns the first eight digits of the run's UID in the key of a content or its record; empty when it is none."""
    parts = key.split("/")
    found = _DAY_OF_RUN.fullmatch(parts[2]) if len(parts) == 5 else None
    return found[1] if found else ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
