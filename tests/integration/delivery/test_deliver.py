"""`cimstream deliver` from outside: real sockets, a real Kafka, systems that misbehave."""

from __future__ import annotations

import itertools
import json
import random
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.envelope import Reply, ReplyError, read, reply_to, write
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Output
from streams.runtime.headers import header
from streams.runtime.sending import Sender
from tests.integration.data_rig import cimstream, committed, make_topics
from tests.integration.delivery.rig import (
    BAD,
    BROKEN,
    LATER,
    OK,
    OUTBOUND,
    TOO_MANY,
    Crew,
    Deliver,
    address,
    dead_letters,
    destinations,
    eventually,
    make_deliverer,
    new_name,
    nobody,
    of,
    quick,
    work_order,
)
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import make_run
from topics import naming

pytestmark = pytest.mark.integration

Start = Callable[..., Deliver]


@pytest.fixture
def start(kafka: str) -> Iterator[Start]:
    make_topics(kafka)
    yield from make_deliverer(kafka)


@pytest.fixture
def crew() -> Iterator[Crew]:
    made = Crew()
    yield made
    made.close()


def audited(kafka: str, destination: str) -> list[tuple[str, str]]:
    """Action and message of each audit record of a delivery to the destination."""
    found = []
    for record in committed(kafka, naming.AUDIT):
        told = json.loads(record.value or b"{}")
        if told.get("destination") == destination:
            found.append((str(told["action"]), str(told["message"])))
    return found


def numbered(count: int, objects: int = 1_000) -> list[tuple[str, str]]:
    return [(f"m-{n:04}", f"o-{n % objects}") for n in range(count)]


def ordered(ids: list[str], orders: list[tuple[str, str]]) -> bool:
    """Whether of each object the messages came in their order, the first time that each came."""
    firsts = list(dict.fromkeys(ids))
    by_object: dict[str, list[str]] = {}
    of_message = dict(orders)
    for one in firsts:
        by_object.setdefault(of_message[one], []).append(one)
    return all(got == sorted(got) for got in by_object.values())


def test_a_work_order_reaches_the_crew_system_byte_for_byte_and_its_sender_hears_of_it(
    kafka: str, start: Start, crew: Crew, tmp_path: Path
) -> None:
    name, mrid, message_id = new_name(), uuid.uuid4().hex, uuid.uuid4().hex
    data = work_order(message_id, mrid, name, AckRequired="true")
    (tmp_path / "order.xml").write_bytes(data)
    start(destinations(tmp_path, **{name: quick(crew.url)}))
    with contextmanager(make_run)(kafka, tmp_path) as start_run:
        start_run("--interface", "I4").await_event("partitions assigned")
        sent = cimstream(kafka, "send", tmp_path / "order.xml", "-i", "I4")
        assert sent.returncode == 0, sent.stderr
        eventually(lambda: crew.ids, [message_id])
        (call,) = crew.calls
        assert call.body == data
        assert call.headers["Content-Type"] == "application/xml"
        assert call.headers["ce-noun"] == "WorkOrders"
        eventually(lambda: audited(kafka, name), [("delivered", message_id)])
        # The same message again has no second effect: it is not delivered again either.
        assert cimstream(kafka, "send", tmp_path / "order.xml", "-i", "I4").returncode == 0
        answers = [
            one for one in of(kafka, OUTBOUND, "WMS")
            if header(one, "ce_correlationid") == message_id
        ]  # fmt: skip
    fates = [one for one in answers if header(one, "cimstream_fate")]
    assert [header(one, "cimstream_fate") for one in fates] == ["delivered"]
    told = read(fates[0].value or b"")
    assert told.reply is not None
    assert told.header is not None
    assert (told.reply.result, told.header.correlation_id) == ("OK", message_id)
    assert crew.ids == [message_id]


def test_messages_about_one_object_arrive_in_order_at_a_destination_that_flaps(
    kafka: str, start: Start, crew: Crew, tmp_path: Path
) -> None:
    chance, name = random.Random(7), new_name()
    outcomes = (OK, BROKEN, LATER, TOO_MANY)
    crew.answering = lambda _: chance.choice(outcomes)
    orders = numbered(60, objects=6)
    address(kafka, name, orders)
    fast = quick(crew.url, retry_first_s=0.01, retry_max_s=0.02)
    start(destinations(tmp_path, **{name: fast}))

    def all_there() -> bool:
        return set(crew.taken) == {one for one, _ in orders}

    eventually(all_there)
    assert ordered(crew.ids, orders)
    assert ordered(crew.taken, orders)
    eventually(lambda: sorted(audited(kafka, name)), sorted(("delivered", o) for o, _ in orders))
    assert dead_letters(kafka, name) == []


def test_slow_and_dead_destinations_hold_back_no_other(
    kafka: str, start: Start, crew: Crew, tmp_path: Path
) -> None:
    slow, dead, half_open, well = (new_name() for _ in range(4))
    hanging = Crew(delay_s=30)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        tables = {slow: quick(hanging.url), dead: quick(nobody()), half_open: quick(url)}
        file = destinations(tmp_path, **tables, **{well: quick(crew.url)})
        for name in (slow, dead, half_open):
            address(kafka, name, numbered(20))
        address(kafka, well, numbered(20))
        start(file)
        eventually(lambda: sorted(set(crew.taken)), [one for one, _ in numbered(20)])
        assert dead_letters(kafka, slow) == dead_letters(kafka, dead) == []
    hanging.close()


def test_what_waited_for_a_dead_destination_arrives_when_it_is_back(
    kafka: str, start: Start, tmp_path: Path
) -> None:
    name, url = new_name(), nobody()
    address(kafka, name, numbered(10, objects=2))
    run = start(destinations(tmp_path, **{name: quick(url)}))
    run.await_event("destination does not take messages")
    crew = Crew(port=int(url.rpartition(":")[2].partition("/")[0]))
    run.await_event("destination takes messages again")
    eventually(lambda: sorted(crew.taken), [one for one, _ in numbered(10)])
    assert ordered(crew.ids, numbered(10, objects=2))
    crew.close()


def test_what_is_refused_for_good_is_a_dead_letter_at_once_and_arrives_when_it_is_redriven(
    kafka: str, start: Start, crew: Crew, tmp_path: Path
) -> None:
    name = new_name()
    crew.answering = lambda call: BAD if call.id == "m-0001" else OK
    address(kafka, name, numbered(3, objects=1))
    start(destinations(tmp_path, **{name: quick(crew.url)}))
    eventually(lambda: dead_letters(kafka, name), [("m-0001", "delivery_refused")])
    # It is not in the way of the next one about the same object.
    eventually(lambda: crew.ids, ["m-0000", "m-0001", "m-0002"])
    crew.answering = lambda _: OK
    redriven = cimstream(kafka, "dlq", "redrive", "--code", "delivery_refused", "--yes")
    assert redriven.returncode == 0, redriven.stderr
    eventually(lambda: crew.ids, ["m-0000", "m-0001", "m-0002", "m-0001"])
    assert crew.calls[3].body == crew.calls[1].body
    eventually(lambda: audited(kafka, name)[-1], ("delivered", "m-0001"))


def test_a_response_message_is_the_receipt_where_the_destination_says_so(
    kafka: str, start: Start, crew: Crew, tmp_path: Path
) -> None:
    name = new_name()
    header_ = read(work_order("m-0000", "x")).header
    assert header_ is not None

    def answer(result: str) -> bytes:
        errors = (ReplyError("2.9", "FATAL", "no"),)
        return write(reply_to(header_, Reply(result, errors), message_id="r", timestamp_ms=0))

    crew.body = answer("FAILED")
    address(kafka, name, [("m-0000", "x")])
    start(destinations(tmp_path, **{name: quick(crew.url, receipt="response")}))
    eventually(lambda: dead_letters(kafka, name), [("m-0000", "delivery_refused")])
    crew.body = answer("OK")
    address(kafka, name, [("m-0001", "x")])
    eventually(lambda: audited(kafka, name)[-1], ("delivered", "m-0001"))


def test_a_reply_that_comes_later_is_the_receipt_where_the_destination_says_so(
    kafka: str, start: Start, crew: Crew, tmp_path: Path
) -> None:
    name = new_name()
    address(kafka, name, [("m-0000", "x"), ("m-0001", "x")])
    run = start(destinations(tmp_path, **{name: quick(crew.url, receipt="reply")}))
    eventually(lambda: crew.ids, ["m-0000"])
    run.kill()  # that the receipt is awaited is not forgotten: it is not sent again

    def reply(message_id: str) -> None:
        asked = read(work_order(message_id, "x")).header
        assert asked is not None
        value = write(reply_to(asked, Reply("OK"), message_id="r", timestamp_ms=0, source=name))
        said = {
            "ce_verb": "reply", "ce_source": name, "ce_destination": "WMS",
            "ce_noun": "WorkOrders", "ce_correlationid": message_id,
        }  # fmt: skip
        headers = tuple((key, text.encode()) for key, text in said.items())
        sender = Sender(KafkaSettings(kafka), timeout_s=PATIENCE_S)
        sender.send(Output(OUTBOUND, b"WMS", value, headers), lambda _: None)
        sender.finish()

    eventually(lambda: len(run.lines) > 0)
    reply("m-0000")
    eventually(lambda: crew.ids[-1], "m-0001")
    reply("m-0001")
    eventually(lambda: audited(kafka, name), [("delivered", "m-0000"), ("delivered", "m-0001")])
    assert crew.ids.count("m-0001") == 1


def test_a_message_that_expires_is_a_dead_letter_and_is_never_delivered(
    kafka: str, start: Start, tmp_path: Path
) -> None:
    name, url = new_name(), nobody()
    address(kafka, name, [("m-0000", "x"), ("m-0001", "x")])
    run = start(destinations(tmp_path, **{name: quick(url, expiry_h=0.0008)}))
    expired = [("m-0000", "delivery_expired"), ("m-0001", "delivery_expired")]
    eventually(lambda: sorted(dead_letters(kafka, name)), expired)
    crew = Crew(port=int(url.rpartition(":")[2].partition("/")[0]))
    address(kafka, name, [("m-0002", "x")])
    eventually(lambda: crew.ids, ["m-0002"])
    run.end()
    assert crew.ids == ["m-0002"]
    crew.close()


def test_a_control_is_not_sent_again_while_nobody_knows_whether_it_arrived(
    kafka: str, start: Start, crew: Crew, tmp_path: Path
) -> None:
    blind, safe, unreached = new_name(), new_name(), new_name()
    crew.answering = lambda _: BROKEN
    order = {"ce_noun": "SwitchingOrders", "ce_verb": "execute"}
    url = nobody()
    file = destinations(
        tmp_path,
        **{
            blind: quick(crew.url),
            safe: quick(crew.url, idempotent=True),
            unreached: quick(url),
        },
    )
    for name, message_id in ((blind, "blind"), (safe, "safe"), (unreached, "unreached")):
        address(kafka, name, [(message_id, "so-1")], **order)
    start(file)
    eventually(lambda: dead_letters(kafka, blind), [("blind", "delivery_unknown")])
    eventually(lambda: crew.ids.count("safe") >= 3)
    # Where the connection was never made, it has surely not arrived: that is tried again.
    late = Crew(port=int(url.rpartition(":")[2].partition("/")[0]))
    eventually(lambda: late.ids, ["unreached"])
    assert crew.ids.count("blind") == 1
    redriven = cimstream(kafka, "dlq", "redrive", "--code", "delivery_unknown", "--yes")
    assert b"control" in redriven.stdout + redriven.stderr
    assert crew.ids.count("blind") == 1
    late.close()


def test_a_control_whose_deliverer_was_killed_during_the_attempt_is_not_sent_again(
    kafka: str, start: Start, crew: Crew, tmp_path: Path
) -> None:
    name = new_name()
    crew.delay_s = 5
    address(kafka, name, [("order", "so-1")], ce_noun="SwitchingOrders", ce_verb="execute")
    run = start(destinations(tmp_path, **{name: quick(crew.url, timeout_s=20)}))
    eventually(lambda: crew.ids, ["order"])
    run.kill()
    eventually(lambda: dead_letters(kafka, name), [("order", "delivery_unknown")])
    assert crew.ids == ["order"]


def test_killed_hard_in_the_middle_it_loses_nothing_and_repeats_nothing_with_a_receipt(
    kafka: str, start: Start, crew: Crew, tmp_path: Path
) -> None:
    name, orders = new_name(), numbered(200, objects=40)
    crew.delay_s = 0.02
    address(kafka, name, orders)
    run = start(destinations(tmp_path, **{name: quick(crew.url)}))
    for kill in range(4):
        crew.await_calls(20 * (kill + 1))
        receipts = {message for _, message in audited(kafka, name)}
        before = len(crew.ids)
        run.kill()
        run.await_started()
        crew.await_calls(before + 1)
        assert not receipts & set(crew.ids[before:])
    eventually(lambda: sorted(audited(kafka, name)), [("delivered", one) for one, _ in orders])
    assert set(crew.ids) == {one for one, _ in orders}
    assert ordered(crew.ids, orders)
    # At most what was under way at each kill came twice.
    assert len(crew.ids) - len(orders) <= 4 * 4


def test_two_deliverers_share_the_work_and_one_takes_over_from_the_other(
    kafka: str, start: Start, crew: Crew, tmp_path: Path
) -> None:
    names = [new_name() for _ in range(6)]
    file = destinations(tmp_path, **{name: quick(crew.url) for name in names})
    first = start(file, "--first-slot", "0")
    first.await_started()
    second = start(file, "--first-slot", "1")
    second.await_started()
    topics = ("cim.i4.outbound", "cim.i7.outbound")
    for name, topic in itertools.product(names, topics):
        ids = [(f"{name}-{topic}-{n}", f"o-{n}") for n in range(5)]
        address(kafka, name, ids, topic, ce_interface=topic[4:6].upper())
    wanted = {f"{name}-{topic}-{n}" for name in names for topic in topics for n in range(5)}
    eventually(lambda: set(crew.taken) == wanted)
    second.process.kill()
    second.process.wait()
    for name, topic in itertools.product(names, topics):
        address(kafka, name, [(f"{name}-{topic}-late", "o-1")], topic)
    late = {f"{name}-{topic}-late" for name in names for topic in topics}
    eventually(lambda: late <= set(crew.taken))
    assert sorted(crew.ids) == sorted(wanted | late)


def test_what_is_not_production_does_not_leave_unless_the_destination_names_its_context(
    kafka: str, start: Start, crew: Crew, tmp_path: Path
) -> None:
    real, training = new_name(), new_name()
    both = {
        real: quick(crew.url),
        training: quick(crew.url, contexts=["PRODUCTION", "TRAINING"]),
    }
    for name in (real, training):
        address(kafka, name, [(f"{name}-training", "x")], "cim.training.i4.outbound")
        address(kafka, name, [(f"{name}-real", "x")])
    start(destinations(tmp_path, **both))
    wanted = {f"{real}-real", f"{training}-real", f"{training}-training"}
    eventually(lambda: set(crew.taken) == wanted)
