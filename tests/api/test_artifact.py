"""Artifact: a file that a tool produced."""

import msgspec

from toe.api.artifact import Artifact


def test_an_artifact_is_written_in_the_words_of_the_status() -> None:
    """Names are Kubernetes' own, defaults are left out."""
    artifact = Artifact(pod="web-1", name="x.pcap", bytes=3, sha256="ab")
    assert msgspec.to_builtins(artifact) == {"pod": "web-1", "name": "x.pcap", "bytes": 3, "sha256": "ab"}
    assert msgspec.to_builtins(Artifact(pod="web-1", name="x")) == {"pod": "web-1", "name": "x"}
