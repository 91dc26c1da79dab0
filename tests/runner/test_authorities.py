"""toe-run knows the collector by what it was given when its container was made, also after a roll-over."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.kube.test_authority import ROLL_OVERS, roll_over
from tests.runner.test_with_the_collector import acting, toe_run
from tests.webhook.pki import an_authority

__all__ = ["toe_run"]


@pytest.mark.parametrize("case", ROLL_OVERS)
async def test_a_tool_from_before_a_roll_over_and_one_from_after_it_both_upload(
    tmp_path: Path, toe_run: Path, case: str
) -> None:
    """The old authority alone, the new one alone, and both: Go's TLS accepts each, and nobody else's."""
    old, new = ROLL_OVERS[case]
    one, other = (signer.certificate.public_bytes(Encoding.PEM).decode() for signer in (old, new))
    (authority := tmp_path / "authority").mkdir()
    certificate, key = old.save(authority)
    serving = ("--ca-cert", str(certificate), "--ca-key", str(key), "--serving-name", "127.0.0.1")
    async with acting(tmp_path, toe_run, serving=serving) as scene:
        (await scene.play("echo before", TOE_CA=one)).must(0, "Completed")
        begun, _ = await scene.begin("echo begun before; sleep 4", TOE_CA=one)
        for _ in roll_over(authority, new):
            pass
        for bundle in (one, other, one + other, other + one):
            (await scene.play("echo after", TOE_CA=bundle)).must(0, "Completed")
        await begun.communicate()
        assert begun.returncode == 0
        stranger = an_authority().certificate.public_bytes(Encoding.PEM).decode()
        assert (await scene.play("echo never", TOE_CA=stranger)).summary["reason"] == "CollectorUnreachable"
