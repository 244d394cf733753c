"""The paths of destinations that pull: what is asked, what is answered, what is refused."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest

from connectors.access import Gatekeeper, SourceAccess, key_hash, new_key
from connectors.exchange import UnavailableError
from connectors.outbound import Handed, Parcel
from connectors.rest.config import RestLimits
from connectors.rest.outbound import OutboundRoutes
from connectors.rest.server import RestDoor
from tests.unit.gateway.fake import FakeExchange
from topics import load_catalogue

CATALOGUE = load_catalogue()
KEY, OTHER_KEY = new_key(), new_key()
ACKNOWLEDGE = "/v1/outbound/acknowledgements"
TOLD = {"ce_id": "m-1", "ce_source": "WMS", "ce_noun": "WorkOrders", "ce_verb": "create"}


class FakeOutbox:
    """One message for CREW."""

    def __init__(self) -> None:
        self.message = b"<x/>"
        self.away = False
        self.asked: list[tuple[int, float]] = []
        self.done: list[str] = []
        self.refused: dict[str, str] = {}

    def serves(self, destination: str) -> bool:
        return destination == "CREW"

    async def take(self, destination: str, count_max: int, within_s: float) -> Sequence[Handed]:
        if self.away:
            raise UnavailableError("no answer")
        self.asked.append((count_max, within_s))
        return [Handed("cim.i4.outbound/0@1", Parcel(self.message, TOLD), 0)]

    async def acknowledge(
        self, destination: str, done: Sequence[str], refused: Mapping[str, str]
    ) -> Sequence[str]:
        self.done += done
        self.refused |= refused
        return [one for one in done if one == "strange"]


def ask(
    outbox: FakeOutbox, method: str, path: str, *, keys: bool = False, **said: Any
) -> httpx.Response:
    sources = {
        "CREW": SourceAccess(keys=(key_hash(KEY),)),
        "WMS": SourceAccess(keys=(key_hash(OTHER_KEY),)),
    }
    gatekeeper = Gatekeeper(sources if keys else None)
    limits = RestLimits()
    door = RestDoor(CATALOGUE, FakeExchange(), gatekeeper, limits, lambda *_: None)
    application = door.application(*OutboundRoutes(outbox, door.entrance, limits).routes())

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
            return await client.request(method, path, **said)

    return asyncio.run(asked())


def test_messages_come_with_their_ids_and_what_they_are() -> None:
    outbox = FakeOutbox()
    response = ask(outbox, "GET", "/v1/outbound?max=5", keys=True, headers={"X-API-Key": KEY})
    assert response.status_code == 200
    assert response.json() == {
        "messages": [
            {
                "id": "cim.i4.outbound/0@1", "again_at": "1970-01-01T00:00:00Z",
                "message_id": "m-1", "source": "WMS", "noun": "WorkOrders", "verb": "create",
                "message": "<x/>",
            }
        ]
    }  # fmt: skip
    assert outbox.asked == [(5, 0)]


def test_a_message_that_is_not_in_utf_8_comes_as_its_bytes() -> None:
    outbox = FakeOutbox()
    outbox.message = "<ü/>".encode("utf-16")
    (shown,) = ask(outbox, "GET", "/v1/outbound?destination=CREW").json()["messages"]
    assert base64.b64decode(shown["message_base64"]) == outbox.message
    assert "message" not in shown


def test_it_waits_as_long_as_prefer_says_up_to_the_most() -> None:
    outbox = FakeOutbox()
    for wait in ("wait=3", "wait=100000"):
        ask(outbox, "GET", "/v1/outbound?destination=CREW", headers={"Prefer": wait})
    assert outbox.asked == [(1, 3), (1, 60)]


@pytest.mark.parametrize("most", ["0", "101", "x", "-1", "²", ""])
def test_how_many_is_a_number_within_bounds(most: str) -> None:
    response = ask(FakeOutbox(), "GET", f"/v1/outbound?destination=CREW&max={most}")
    assert (response.status_code, response.json()["code"]) == (400, "body_invalid")


def test_nobody_pulls_for_another_or_without_a_key() -> None:
    outbox = FakeOutbox()
    for path, headers, status in (
        ("/v1/outbound", {}, 401),
        ("/v1/outbound", {"X-API-Key": OTHER_KEY}, 404),
        ("/v1/outbound?destination=CREW", {"X-API-Key": OTHER_KEY}, 403),
        ("/v1/outbound?destination=CREW", {"X-API-Key": KEY}, 200),
    ):
        response = ask(outbox, "GET", path, keys=True, headers=headers)
        assert response.status_code == status
        assert ask(outbox, "POST", path.replace("outbound", "outbound/acknowledgements"),
                   keys=True, headers=headers, json={}).status_code == status  # fmt: skip
    assert len(outbox.asked) == 1


def test_acknowledgements_are_noted_and_those_nobody_knows_come_back() -> None:
    outbox = FakeOutbox()
    said = {"done": ["a", "strange"], "refused": {"b": "x" * 300}}
    response = ask(outbox, "POST", f"{ACKNOWLEDGE}?destination=CREW", json=said)
    assert (response.status_code, response.json()) == (200, {"unknown": ["strange"]})
    assert outbox.done == ["a", "strange"]
    assert outbox.refused == {"b": "x" * 200}


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "body_invalid"),
        ({"json": {"done": "a"}}, 400, "body_invalid"),
        ({"json": {"gone": []}}, 400, "body_invalid"),
        ({"json": []}, 400, "body_invalid"),
        ({"content": b"<x/>"}, 415, "media_type_unsupported"),
        ({"json": {"done": ["x" * 300_000]}}, 413, "message_too_large"),
    ],
)
def test_what_is_no_acknowledgement_is_refused(
    said: dict[str, Any], status: int, code: str
) -> None:
    outbox = FakeOutbox()
    response = ask(outbox, "POST", f"{ACKNOWLEDGE}?destination=CREW", **said)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert not outbox.done


def test_without_kafka_nothing_is_handed_out() -> None:
    outbox = FakeOutbox()
    outbox.away = True
    response = ask(outbox, "GET", "/v1/outbound?destination=CREW")
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
