"""Subscriptions over HTTP on logs in memory: what is served to whom, and the form of the stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from connectors.access import Access, Gatekeeper, Rule, SourceAccess, key_hash, new_key
from connectors.exchange import UnavailableError
from connectors.rest.config import RestLimits
from connectors.rest.events import EventDoor
from connectors.rest.server import RestDoor
from connectors.subscriptions import Batch, Beginning, Position, PositionExpiredError
from tests.unit.gateway.fake import FakeExchange
from tests.unit.gateway.fake_log import (
    LOG_ID,
    OUTAGES,
    FakeSubscription,
    FakeSubscriptions,
    outage,
)
from topics import load_catalogue

CATALOGUE = load_catalogue()
PATH = "/v1/I1/Outages/events"
KEY, OTHER_KEY = new_key(), new_key()
ACCESS = {
    "DASHBOARD": SourceAccess(
        keys=(key_hash(KEY),), allow=(Rule(interface="I1", nouns=("Outages",), verbs=("get",)),)
    ),
    "OMS-1": SourceAccess(
        keys=(key_hash(OTHER_KEY),),
        allow=(Rule(interface="I1", nouns=("Outages",), verbs=("create",)),),
    ),
}
THREE = [outage(0, "a"), outage(1, "b", verb="change"), outage(0, "c", partition=1)]


class Client:
    """Speaks to a door without a socket; a stream is there when it has ended."""

    def __init__(
        self,
        logs: FakeSubscriptions,
        access: dict[str, SourceAccess] | None = None,
        limits: RestLimits | None = None,
    ) -> None:
        self.handed: list[tuple[str, int]] = []
        self.exchange = FakeExchange()
        limits = limits or RestLimits()
        self.events = EventDoor(
            CATALOGUE, logs, limits, lambda interface, count: self.handed.append((interface, count))
        )
        self.gatekeeper = Gatekeeper(access)
        door = RestDoor(
            CATALOGUE,
            self.exchange,
            self.gatekeeper,
            limits,
            lambda *_: None,
            events=self.events,
        )
        self._application = door.application()

    def get(self, path: str = PATH, method: str = "GET", **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._application)
            async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await client.request(method, path, headers=named)

        return asyncio.run(ask())


def blocks(response: httpx.Response) -> list[dict[str, str]]:
    """The blocks of a stream, field by field."""
    assert response.status_code == 200, response.text
    return [
        dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        for block in response.text.removesuffix("\n\n").split("\n\n")
    ]


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (response.status_code, response.json()["code"]) == (status, code)
    document: dict[str, Any] = response.json()
    return document


def test_the_stream_begins_with_where_it_stands_and_each_event_says_where_to_go_on() -> None:
    client = Client(FakeSubscriptions(THREE))
    response = client.get()
    assert response.headers["content-type"].startswith("text/event-stream")
    first, *events, last = blocks(response)
    assert first == {"retry": "1000", "id": f"{LOG_ID}.0.0"}
    assert [one["id"] for one in events] == [f"{LOG_ID}.1.0", f"{LOG_ID}.2.0", f"{LOG_ID}.2.1"]
    assert [json.loads(one["data"])["event"]["mRID"] for one in events] == ["a", "b", "c"]
    assert last == {"event": "end", "data": '{"code": "gateway_stopping"}'}
    assert client.handed == [("I1", 3)]


def test_from_any_id_on_comes_what_was_behind_it_and_nothing_else() -> None:
    client = Client(FakeSubscriptions(THREE))
    _, *events, _ = blocks(client.get())
    for number, one in enumerate(events):
        expected = [other["data"] for other in events[number + 1 :]]
        _, *behind, _ = blocks(client.get(Last_Event_ID=one["id"]))
        assert [other["data"] for other in behind] == expected
        _, *behind, _ = blocks(client.get(f"{PATH}?from={one['id']}"))
        assert [other["data"] for other in behind] == expected


def test_who_comes_back_with_the_same_address_goes_on_where_it_was() -> None:
    logs = FakeSubscriptions(THREE)
    Client(logs).get(f"{PATH}?from=earliest", Last_Event_ID=f"{LOG_ID}.1.0")
    assert logs.asked[-1][1].position == Position(LOG_ID, (1, 0))


def test_only_what_is_wanted_is_sent_and_the_position_moves_over_the_rest() -> None:
    client = Client(FakeSubscriptions(THREE), limits=RestLimits(heartbeat_s=0))
    _, event, _ = blocks(client.get(f"{PATH}?verb=change"))
    assert event["id"] == f"{LOG_ID}.2.0"
    _, beat, _ = blocks(client.get(f"{PATH}?mrid=nobody"))
    assert beat == {"id": f"{LOG_ID}.2.1"}
    assert client.handed == [("I1", 1)]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("", {"earliest": False}),
        ("?from=latest", {"earliest": False}),
        ("?from=earliest", {"earliest": True}),
        ("?from=2026-01-01T00:00:00Z", {"time_ms": 1_767_225_600_000}),
        (f"?from={LOG_ID}.3.4", {"position": Position(LOG_ID, (3, 4))}),
    ],
)
def test_where_it_begins_is_as_asked(asked: str, expected: dict[str, object]) -> None:
    logs = FakeSubscriptions(THREE)
    Client(logs).get(PATH + asked)
    ((topic, beginning),) = logs.asked
    assert topic == OUTAGES
    assert {name: getattr(beginning, name) for name in expected} == expected


def test_a_context_has_a_log_of_its_own() -> None:
    logs = FakeSubscriptions()
    refused(Client(logs).get(f"{PATH}?context=training"), 503, "log_missing")
    assert logs.asked[0][0] == "cim.training.i1.outages"
    refused(Client(logs).get(f"{PATH}?context=HOME"), 400, "filter_unknown")


def test_what_the_log_no_longer_has_is_said_and_never_skipped() -> None:
    logs = FakeSubscriptions(THREE, starts=(1, 0))
    refused(Client(logs).get(Last_Event_ID=f"{LOG_ID}.0.0"), 410, "position_expired")
    logs.last_word = PositionExpiredError()
    assert json.loads(blocks(Client(logs).get())[-1]["data"]) == {"code": "position_expired"}


def test_a_stream_ends_with_the_reason_where_kafka_is_away() -> None:
    logs = FakeSubscriptions(THREE)
    logs.last_word = UnavailableError()
    assert json.loads(blocks(Client(logs).get())[-1]["data"]) == {"code": "unavailable"}


def test_a_fault_of_ours_ends_the_stream_without_a_word_of_the_events(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logs = FakeSubscriptions(THREE)
    logs.last_word = ValueError("of whom data are")
    response = Client(logs).get()
    assert json.loads(blocks(response)[-1]["data"]) == {"code": "processing_failed"}
    assert "of whom" not in response.text + caplog.text
    assert caplog.records[-1].fields["kind"] == "ValueError"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/I1/Dreams/events", 404, "noun_unknown"),
        ("/v1/I7/Outages/events", 404, "log_elsewhere"),
        ("/v1/I12/Outages/events", 404, "interface_unknown"),
        (f"{PATH}?colour=red", 400, "filter_unknown"),
        (f"{PATH}?field.colour=red", 400, "filter_unknown"),
        (f"{PATH}?from=yesterday", 400, "position_invalid"),
        (f"{PATH}?from=2026-01-01T00:00:00", 400, "position_invalid"),
    ],
)
def test_what_cannot_be_subscribed_to_is_refused(path: str, status: int, code: str) -> None:
    logs = FakeSubscriptions()
    assert refused(Client(logs).get(path), status, code)["fix"]
    assert logs.asked == []


def test_only_who_may_get_objects_hears_of_them_and_a_refusal_is_audited() -> None:
    client = Client(FakeSubscriptions(THREE), ACCESS)
    assert client.get(X_API_Key=KEY).status_code == 200
    refused(client.get(X_API_Key=OTHER_KEY), 403, "not_authorised")
    refused(client.get(), 401, "authentication_needed")
    told = client.exchange.audited[0]
    assert (told["by"], told["noun"], told["verb"]) == ("OMS-1", "Outages", "get")


class Quiet(FakeSubscriptions):
    """After its events comes nothing; `meanwhile` happens, and then the gateway ends."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__(THREE)
        self._meanwhile = meanwhile

    async def open(self, topic: str, beginning: Beginning) -> FakeSubscription:
        begun = await super().open(topic, beginning)
        return QuietSubscription(self, begun.position, self._meanwhile)


class QuietSubscription(FakeSubscription):
    def __init__(
        self, owner: FakeSubscriptions, position: Position, meanwhile: Callable[[], None]
    ) -> None:
        super().__init__(owner, position)
        self._meanwhile = meanwhile
        self._looks = 0

    async def next(self, within_s: float) -> Batch:
        self._looks += 1
        if self._looks == 2:
            self._meanwhile()
            return Batch((), self.position)
        return await super().next(within_s)


def changed(**sources: SourceAccess) -> str:
    """The last word of a stream in whose midst the access file is another."""

    def change() -> None:
        client.gatekeeper.change(Access(sources=sources))

    client = Client(Quiet(change), ACCESS)
    *events, last = blocks(client.get(X_API_Key=KEY))
    assert len(events) == 1 + len(THREE)
    code: str = json.loads(last["data"])["code"]
    audited = [told["code"] for told in client.exchange.audited if told["by"] == "DASHBOARD"]
    assert audited == ([] if code == "gateway_stopping" else [code])
    return code


def test_a_right_that_is_withdrawn_ends_what_is_open_and_is_audited() -> None:
    has = ACCESS["DASHBOARD"]
    nothing = has.model_copy(update={"allow": ()})
    other_key = has.model_copy(update={"keys": (key_hash(OTHER_KEY),)})
    assert changed(DASHBOARD=nothing) == "not_authorised"
    assert changed(DASHBOARD=other_key) == "not_authorised"
    assert changed() == "not_authorised"
    # The key is somebody else's now.
    assert changed(OTHER=has) == "not_authorised"


def test_another_access_file_that_takes_nothing_away_ends_nothing() -> None:
    has = ACCESS["DASHBOARD"]
    more = has.model_copy(update={"keys": (*has.keys, key_hash(OTHER_KEY)), "requests_per_s": 5})
    assert changed(DASHBOARD=more) == "gateway_stopping"


def test_a_source_has_only_so_many_subscriptions_and_a_process_too() -> None:
    few = RestLimits(subscriptions_per_source=0)
    response = Client(FakeSubscriptions(THREE), limits=few).get()
    refused(response, 429, "subscriptions_exceeded")
    assert response.headers["retry-after"]
    full = RestLimits(subscriptions_max=0)
    refused(Client(FakeSubscriptions(THREE), limits=full).get(), 503, "overloaded")


def test_what_has_ended_or_never_began_is_not_counted_as_open() -> None:
    logs = FakeSubscriptions(THREE, starts=(1, 0))
    client = Client(logs)
    client.get()
    client.get(Last_Event_ID=f"{LOG_ID}.0.0")
    assert (client.events.open_subscriptions, logs.open_now) == (0, 0)


def test_a_head_is_answered_without_a_stream() -> None:
    logs = FakeSubscriptions(THREE)
    response = Client(logs).get(method="HEAD")
    assert (response.status_code, response.content, logs.asked) == (200, b"", [])
