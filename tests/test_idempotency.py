"""`Idempotency-Key`: a request that is repeated makes one training."""

import asyncio
import hashlib
import io
import json
from typing import Any

import pytest
from redis import Redis

from mlservice.store import Once
from tests.support import JSON, Client, make_request


async def _post(client: Client, key: str, body: Any) -> tuple[int, Any, bool]:
    headers = {"Idempotency-Key": key}
    async with client.post("/models", json=body, headers=headers) as response:
        replayed = response.headers.get("Idempotency-Replayed") == "true"
        return response.status, await response.json(), replayed


async def test_a_repeated_request_answers_with_the_first_ones_model(
    client: Client, redis: "Redis"
) -> None:
    """The same key and body are one training, and the answer says that it is a repeat."""
    first = await _post(client, "k", make_request())
    second = await _post(client, "k", make_request())

    assert first[0] == second[0] == 202
    assert first[1] == second[1]
    assert (first[2], second[2]) == (False, True)
    assert redis.zcard("arq:queue") == 1
    assert len(list(redis.scan_iter("mls:data:*"))) == 1


async def test_requests_that_come_at_once_make_one_training(client: Client, redis: "Redis") -> None:
    """Of ten requests with one key, one makes the model and nine find it."""
    answers = await asyncio.gather(*(_post(client, "k", make_request()) for _ in range(10)))

    assert {status for status, _, _ in answers} == {202}
    assert len({document["id"] for _, document, _ in answers}) == 1
    assert sum(replayed for _, _, replayed in answers) == 9
    assert redis.zcard("mls:models:anonymous") == 1


async def test_a_large_body_is_known_again(client: Client, redis: "Redis") -> None:
    """Bodies in pieces are compared as a whole."""
    columns = {"x": [0.25] * 200_000, "y": [0, 1] * 100_000}
    body = json.dumps({"data": columns, "target": "y"}).encode()
    headers = JSON | {"Idempotency-Key": "large"}

    answers = []
    for sent in (body, body, body + b" "):
        async with client.post("/models", data=io.BytesIO(sent), headers=headers) as response:
            answers.append((response.status, (await response.json()).get("id")))

    assert answers == [(202, answers[0][1]), (202, answers[0][1]), (422, None)]
    assert len(list(redis.scan_iter("mls:data:*"))) == 1


async def test_a_key_with_another_body_is_refused(client: Client, redis: "Redis") -> None:
    """The second request makes nothing, and leaves nothing."""
    await _post(client, "k", make_request())

    status, document, _ = await _post(client, "k", make_request(name="other"))

    assert (status, document["type"]) == (422, "/problems/idempotency-key-reused")
    assert redis.zcard("arq:queue") == 1
    assert len(list(redis.scan_iter("mls:data:*"))) == 1


async def test_another_key_is_another_training(client: Client) -> None:
    """Equal bodies with different keys are two models."""
    first = await _post(client, "k", make_request())
    second = await _post(client, "K", make_request())

    assert first[1]["id"] != second[1]["id"]


async def test_a_key_is_kept_for_a_day_or_as_long_as_its_model(
    client: Client, redis: "Redis"
) -> None:
    """A key goes by itself, and is free again when its model is deleted."""
    _, document, _ = await _post(client, "k", make_request())
    [key] = redis.scan_iter("mls:idempotent:*")
    assert 86_390 < redis.ttl(key) <= 86_400  # type: ignore[operator]

    await client.delete(f"/models/{document['id']}")
    status, again, replayed = await _post(client, "k", make_request(name="new"))

    assert (status, replayed) == (202, False)
    assert again["id"] != document["id"]


async def test_a_refused_request_uses_up_no_key(client: Client) -> None:
    """After a request that was refused, the key serves the one that is right."""
    status, _, _ = await _post(client, "k", make_request(target="nope"))

    assert status == 422
    assert (await _post(client, "k", make_request()))[0] == 202


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\tb"])
async def test_a_malformed_key_is_refused(client: Client, key: str) -> None:
    """A key has 1 to 255 printable ASCII characters."""
    status, document, _ = await _post(client, key, make_request())

    assert (status, document["type"]) == (400, "/problems/malformed-idempotency-key")


async def test_two_keys_are_refused(client: Client) -> None:
    """A request has one key."""
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]

    response = await client.post("/models", json=make_request(), headers=headers)

    assert response.status == 400


@pytest.mark.parametrize("key", ["x" * 255, ' ~!"#,;=', '"8e03978e-40d5-43e8-bc93-6894a57f9324"'])
async def test_a_key_may_have_any_printable_character(client: Client, key: str) -> None:
    """What is printable is a key, quotes included."""
    assert (await _post(client, key, make_request()))[0] == 202


def _form(boundary: str, cell: str = "1") -> bytes:
    lines = [
        f"--{boundary}",
        'Content-Disposition: form-data; name="file"; filename="t.csv"',
        "Content-Type: text/csv",
        "",
        f"a,y\n{cell},x\n2,z\n3,x\n4,z\n",
        f"--{boundary}--",
        "",
    ]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize("size", [0, 1 << 20])
async def test_a_form_is_known_again_whatever_its_boundary(
    client: Client, redis: "Redis", size: int
) -> None:
    """curl and browsers choose a boundary anew each time; another cell is another body."""
    found = []
    for boundary, cell in (("-" * 24 + "one", "1"), ("2", "1"), ("-" * 24 + "one", "7")):
        headers = {
            "Idempotency-Key": "k",
            "Content-Type": f"multipart/form-data; boundary={boundary}",
        }
        body = _form(boundary, cell + "0" * size)
        async with client.post("/models", data=io.BytesIO(body), headers=headers) as response:
            found.append((response.status, response.headers.get("Idempotency-Replayed")))

    assert found == [(202, None), (202, "true"), (422, None)]
    assert redis.zcard("arq:queue") == 1


@pytest.mark.parametrize("at_once", [1, 2, 3, 5, 100])
def test_what_is_left_out_is_left_out_wherever_pieces_end(at_once: int) -> None:
    """A boundary may begin in one piece and end in the next one."""
    whole, pieces = Once("k"), Once("k")
    whole.add(b"xxa-by--a")
    sent = b"--axx--aa-by----a--a"

    pieces.leave_out(b"--a")
    for start in range(0, len(sent), at_once):
        pieces.add(sent[start : start + at_once])

    assert pieces.fingerprint == _digest(sent.replace(b"--a", b""))
    assert whole.fingerprint == _digest(b"xxa-by--a")


def _digest(sent: bytes) -> str:
    return hashlib.sha256(sent).hexdigest()
