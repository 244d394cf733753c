"""Which reply belongs to which call."""

from __future__ import annotations

import asyncio

import pytest

from connectors.exchange import Asked, Place
from streams.engine.record import Record
from streams.runtime.gateway.replies import Fate, Replies, answers
from topics.replies import ANSWERS, SAME_AS

PLACE, LATER = Place("cim.i7.inbound", 0, 1), Place("cim.i7.inbound", 0, 2)


def asked(message_id: str = "m-1", correlation_id: str = "", source: str = "HES-1") -> Asked:
    return Asked(source, "MeterReadings", message_id, correlation_id, "cim.i7.outbound", 0)


def reply(said: dict[str, str], value: bytes = b"r", time_ms: int = 10) -> Record:
    headers = {
        "ce_verb": "reply", "ce_noun": "MeterReadings", "ce_destination": "HES-1", **said,
    }  # fmt: skip
    encoded = tuple((name, text.encode()) for name, text in headers.items())
    return Record("cim.i7.outbound", 0, 0, time_ms, b"HES-1", value, encoded)


def answer(place: Place, value: bytes = b"r") -> Record:
    return reply({ANSWERS: str(place)}, value)


def waited(replies: Replies, place: Place, *records: Record) -> tuple[bytes | None, list[Fate]]:
    """What who waits gets, and the fates of what arrives meanwhile."""

    async def wait() -> tuple[bytes | None, list[Fate]]:
        task = asyncio.create_task(replies.wait(place, 0.2))
        await asyncio.sleep(0)
        fates = [replies.arrived(record) for record in records]
        return await task, fates

    return asyncio.run(wait())


def test_who_waits_gets_the_reply_to_its_own_sending_and_not_to_an_earlier_one() -> None:
    replies = Replies()
    replies.asked(PLACE, asked())
    replies.asked(LATER, asked())
    got, fates = waited(replies, LATER, answer(PLACE, b"first"), answer(LATER, b"second"))
    assert got == b"second"
    assert fates == [Fate.LATE, Fate.WAITED]


def test_a_reply_that_came_before_its_call_was_told_of_is_not_lost() -> None:
    replies = Replies()
    replies.arrived(answer(PLACE))
    replies.asked(PLACE, asked())
    assert waited(replies, PLACE)[0] == b"r"


def test_a_late_reply_is_told_apart_from_one_that_nobody_here_asked_for() -> None:
    replies = Replies()
    replies.asked(PLACE, asked())
    assert waited(replies, PLACE)[0] is None
    assert replies.arrived(answer(PLACE)) is Fate.LATE
    assert replies.arrived(answer(LATER)) is Fate.OTHER
    assert replies.arrived(reply({"ce_correlationid": "m-9"})) is Fate.UNKNOWN
    known = replies.known(PLACE)
    assert known is not None
    assert known.reply == b"r"


@pytest.mark.parametrize("convention", ["C-1", "m-1"])
def test_a_foreign_reply_is_known_by_correlation_id_or_message_id(convention: str) -> None:
    replies = Replies()
    replies.asked(PLACE, asked("m-1", "C-1"))
    got, fates = waited(replies, PLACE, reply({"ce_correlationid": convention}))
    assert (got, fates) == (b"r", [Fate.WAITED])


@pytest.mark.parametrize(
    "said",
    [
        {"ce_correlationid": "m-2"},
        {"ce_correlationid": "m-1", "ce_destination": "HES-2"},
        {"ce_correlationid": "m-1", "ce_noun": "EndDeviceControls"},
        {"ce_correlationid": "m-1", "ce_verb": "create"},
        {},
    ],
)
def test_what_answers_something_else_is_given_to_nobody(said: dict[str, str]) -> None:
    replies = Replies()
    replies.asked(PLACE, asked("m-1"))
    assert waited(replies, PLACE, reply(said)) == (None, [Fate.UNKNOWN])
    assert not answers(reply(said), PLACE, asked("m-1"), 0)


def test_a_foreign_reply_from_before_the_call_is_not_its_reply() -> None:
    assert answers(reply({"ce_correlationid": "m-1"}, time_ms=10), PLACE, asked(), 10)
    assert not answers(reply({"ce_correlationid": "m-1"}, time_ms=9), PLACE, asked(), 10)


def test_what_memory_had_to_let_go_is_looked_for_in_the_log() -> None:
    replies = Replies(kept_bytes_max=5)
    replies.asked(PLACE, asked())
    replies.asked(LATER, asked("m-2"))
    replies.arrived(answer(PLACE, b"aaaa"))
    replies.arrived(answer(LATER, b"bbbb"))
    first, second = replies.known(PLACE), replies.known(LATER)
    assert first is not None
    assert second is not None
    assert (first.reply, first.elsewhere) == (None, True)
    assert (second.reply, second.elsewhere) == (b"bbbb", False)


def test_the_oldest_calls_are_forgotten_but_never_one_that_is_waited_for() -> None:
    replies = Replies(calls_max=2)
    places = [Place("cim.i7.inbound", 0, number) for number in range(4)]

    async def wait() -> bytes | None:
        replies.asked(places[0], asked("m-0"))
        task = asyncio.create_task(replies.wait(places[0], 5))
        await asyncio.sleep(0)
        for place in places[1:]:
            replies.asked(place, asked(f"m-{place.offset}"))
        replies.arrived(answer(places[0]))
        return await task

    assert asyncio.run(wait()) == b"r"
    assert replies.known(places[1]) is None
    assert replies.known(places[3]) is not None


def test_at_the_end_who_waits_is_let_go_and_nobody_waits_any_more() -> None:
    replies = Replies()
    replies.asked(PLACE, asked())

    async def wait() -> list[bytes | None]:
        task = asyncio.create_task(replies.wait(PLACE, 60))
        await asyncio.sleep(0)
        replies.let_go()
        return [await task, await replies.wait(PLACE, 60)]

    assert asyncio.run(wait()) == [None, None]


def asking(message_id: str, correlation_id: str = "") -> Record:
    said = {"ce_source": "HES-1", "ce_noun": "MeterReadings", "ce_id": message_id}
    if correlation_id:
        said["ce_correlationid"] = correlation_id
    headers = tuple((name, text.encode()) for name, text in said.items())
    return Record("cim.i7.requests", 0, 0, 1, b"k", b"q", headers)


@pytest.mark.parametrize("convention", ["C-1", "m-1"])
def test_after_a_restart_a_late_reply_is_told_apart_from_one_that_nobody_asked_for(
    convention: str,
) -> None:
    replies = Replies()
    replies.heard(asking("m-1", "C-1"))
    assert replies.arrived(reply({"ce_correlationid": convention})) is Fate.OTHER
    assert replies.arrived(reply({"ce_correlationid": "m-2"})) is Fate.UNKNOWN
    foreign = {"ce_correlationid": convention, "ce_destination": "HES-2"}
    assert replies.arrived(reply(foreign)) is Fate.UNKNOWN


def test_of_what_others_asked_the_oldest_is_forgotten() -> None:
    replies = Replies(calls_max=2)
    for number in range(3):
        replies.heard(asking(f"m-{number}"))
    fates = [replies.arrived(reply({"ce_correlationid": f"m-{n}"})) for n in range(3)]
    assert fates == [Fate.UNKNOWN, Fate.OTHER, Fate.OTHER]


def repeated(place: Place, first: Place) -> Record:
    return reply({ANSWERS: str(place), SAME_AS: str(first)}, b"")


def test_who_repeats_a_call_gets_the_reply_to_the_first_sending() -> None:
    replies = Replies()
    replies.asked(PLACE, asked())
    replies.asked(LATER, asked())
    got, fates = waited(replies, LATER, answer(PLACE, b"first"), repeated(LATER, PLACE))
    assert got == b"first"
    assert fates == [Fate.LATE, Fate.WAITED]
    assert not replies.referred(LATER)


def test_who_repeats_a_call_from_before_is_sent_to_the_log_without_waiting_on() -> None:
    replies = Replies()
    replies.asked(LATER, asked())
    got, fates = waited(replies, LATER, repeated(LATER, PLACE))
    assert (got, fates) == (None, [Fate.WAITED])
    assert replies.referred(LATER)
    known = replies.known(LATER)
    assert known is not None
    assert known.elsewhere


def test_where_a_reply_is_may_be_told_before_its_call_is_told_of() -> None:
    replies = Replies()
    replies.arrived(repeated(LATER, PLACE))
    replies.asked(LATER, asked())
    assert waited(replies, LATER)[0] is None
    assert replies.referred(LATER)
