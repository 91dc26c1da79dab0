"""An AdmissionReview and its answer: nothing that comes in is trusted to be one."""

import base64
import contextlib
import json
import random

import pytest

from tests.webhook.reviews import a_run_review, as_bytes
from toe.errors import DecodeError
from toe.webhook.review import MAX_BYTES, MAX_DEPTH, Answer, read_review, refuse, write_answer


def test_a_review_is_read_as_far_as_it_is_judged() -> None:
    """Who does what to which object."""
    review = read_review(as_bytes(a_run_review()))
    assert (review.uid, review.operation, review.kind.kind) == ("review-1", "CREATE", "PowerTool")
    assert review.user_info.requester.username == "alice"
    assert review.object is not None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe{\x00", "no JSON"),
        (b"[]", "must be an AdmissionReview"),
        (as_bytes({**a_run_review(), "apiVersion": "admission.k8s.io/v1beta1"}), "must be an AdmissionReview"),
        (as_bytes({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}), "request"),
        (as_bytes(a_run_review()).replace(b'"review-1"', b'""'), "request.uid"),
        (as_bytes(a_run_review()).replace(b'"review-1"', b"7"), "request"),
        (b'{"kind": 1, "kind": 2}', "given twice"),
        (b'{"a": NaN}', "NaN"),
        (b"[" * (MAX_DEPTH + 1), "nested deeper"),
        (b'{"a":' * 100_000, "nested deeper"),
        (b" " * (MAX_BYTES + 1), "larger"),
    ],
)
def test_what_is_no_review_is_a_decode_error(body: bytes, message: str) -> None:
    """Told in one sentence, whatever was sent."""
    with pytest.raises(DecodeError, match=message):
        read_review(body)


def test_brackets_in_strings_are_no_depth() -> None:
    """Nor are escaped quotes the end of a string."""
    review = a_run_review()
    review["request"]["name"] = '\\"' + "[{" * 500
    assert read_review(as_bytes(review)).name.endswith("[{")


def test_any_bytes_are_a_review_or_a_decode_error() -> None:
    """20,000 bodies, most of them broken pieces of a real one."""
    chance = random.Random(7)
    whole = as_bytes(a_run_review())
    for _ in range(20_000):
        body = bytearray(whole)
        for _ in range(chance.randint(0, 6)):
            place = chance.randrange(len(body))
            match chance.randrange(3):
                case 0:
                    body[place] = chance.randrange(256)
                case 1:
                    del body[place : place + chance.randint(1, 40)]
                case _:
                    body[place:place] = chance.choice([b"{", b"]", b'"', b"null", b"1e999", b"\x00", b"\\u0000"])
        with contextlib.suppress(DecodeError):
            assert read_review(bytes(body)).uid


def test_an_answer_carries_the_uid_and_everything_that_is_wrong() -> None:
    """All violations in one message, warnings cut to what the API server takes."""
    answer = json.loads(write_answer("u", refuse(["one", "two"], code=422, warnings=["w" * 1000] * 40)))
    response = answer["response"]
    assert (response["uid"], response["allowed"]) == ("u", False)
    assert response["status"] == {"code": 422, "reason": "Invalid", "message": "one; two"}
    assert sum(len(warning) for warning in response["warnings"]) <= 4096


def test_a_patch_is_a_json_patch_in_base64() -> None:
    """As the API server wants it."""
    answer = Answer(allowed=True, patch=({"op": "add", "path": "/x", "value": 1},))
    response = json.loads(write_answer("u", answer))["response"]
    assert response["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(response["patch"])) == [{"op": "add", "path": "/x", "value": 1}]
