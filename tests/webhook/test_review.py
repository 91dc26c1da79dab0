"""An AdmissionReview and its answer: nothing that comes in is trusted to be one."""

import base64
import contextlib
import json
import random
import time

import pytest

from tests.webhook.reviews import a_run_review, as_bytes
from toe.errors import DecodeError
from toe.webhook.review import MAX_BYTES, MAX_DEPTH, MAX_ENTRIES, MAX_MESSAGE, Answer, read_review, refuse, write_answer


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
        (b'{"a":' * 1_000, "nested deeper"),
        (b"[0," + b"0," * MAX_ENTRIES + b"0]", "more than 16384 entries"),
        (as_bytes(a_run_review()).decode().encode("utf-16"), "no JSON"),
        (b"\xef\xbb\xbf" + as_bytes(a_run_review()), "no JSON"),
        (as_bytes(a_run_review()).replace(b'"alice"', b'"\xff"'), "no JSON"),
        (b"9" * 5000, "no JSON"),
        (as_bytes({**a_run_review(), "x": "\ud800"}), "no JSON"),
        (b" " * (MAX_BYTES + 1), "larger"),
    ],
)
def test_what_is_no_review_is_a_decode_error(body: bytes, message: str) -> None:
    """Told in one sentence, whatever was sent."""
    with pytest.raises(DecodeError, match=message):
        read_review(body)


def test_a_pair_of_surrogates_is_one_character() -> None:
    """JSON writes characters beyond the first plane so."""
    review = a_run_review()
    review["request"]["name"] = "\U0001f9b6"
    assert read_review(as_bytes(review)).name == "\U0001f9b6"


def test_brackets_in_strings_are_no_depth() -> None:
    """Nor are escaped quotes the end of a string."""
    review = a_run_review()
    review["request"]["name"] = '\\"' + "[{" * 500
    assert read_review(as_bytes(review)).name.endswith("[{")


@pytest.mark.parametrize(
    "body",
    [
        b'\\"' * (MAX_BYTES // 2),
        b'"' + b'\\"' * (MAX_BYTES // 2 - 1) + b"\\",
        b'"' * MAX_BYTES,
        b"[" * MAX_BYTES,
        b"{" + b",".join(b'"%d":0' % number for number in range(16_000)) + b',"15999":1}',
    ],
    ids=["escaped quotes", "an open string", "quotes", "brackets", "many keys"],
)
def test_no_body_takes_long(body: bytes) -> None:
    """Reading is linear: 40 KB of escaped quotes took four seconds of everybody's time once."""
    began = time.process_time()
    with pytest.raises(DecodeError):
        read_review(body)
    assert time.process_time() - began < 2


def test_a_message_is_bounded_and_counts_the_rest() -> None:
    """A million violations are not a million sentences."""
    answer = refuse(f"spec.tool.args[{number}]: no" for number in range(100_000))
    assert len(answer.message) < MAX_MESSAGE + 100
    assert answer.message.endswith("more")


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
