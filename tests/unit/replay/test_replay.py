"""What a replay lets pass, what it takes for the same event, and what it remembers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from streams.demo import messages as m
from streams.engine.processor import Context
from streams.engine.record import Output, Record, TopicPartition
from streams.processors.intake import Intake
from streams.processors.replay import (
    Differences,
    Identities,
    IntoLog,
    IntoSide,
    Nowhere,
    Outlet,
    Rehearsed,
    Remaining,
    Replay,
)
from streams.processors.understand import Refused, Understood
from tests.unit.engine.world import MemoryState
from tests.unit.intake.driver import CATALOGUE, Driver, header
from topics.partitioning import murmur2_partition

INBOUND, LOG = "cim.i7.inbound", "cim.i7.meter-readings"


def driver(outlet: Outlet) -> Driver:
    """Intake's driver with a replay around its intake."""
    made = Driver()
    made.intake = Replay(made.intake, CATALOGUE, outlet)  # type: ignore[assignment]
    return made


def message(message_id: str, meters: Sequence[str] = ("a", "b"), **fields: str) -> bytes:
    payload = m.meter_readings(m.full_meter(x, ["1.5", "2.5"], m.times(2)) for x in meters)
    return m.envelope(payload, message_id=message_id, **fields)


def mixed(message_id: str) -> bytes:
    """A request with a good and a bad meter: an event, a rejection and a reply."""
    good = m.full_meter("a", ["1.5"], m.times(1))
    bad = m.full_meter("b", ["much"], m.times(1))
    return m.envelope(m.meter_readings([good, bad]), message_id=message_id, verb="create")


def home_of(subject: Driver, message_id: str) -> int:
    """The partition of a message with this ID."""
    return murmur2_partition(subject.key(message(message_id)), subject.partitions)


def differences(end: int = 100) -> Differences:
    spans = {TopicPartition(INBOUND, p): (0, end) for p in range(6)}
    return Differences(MemoryState(), INBOUND, spans)


def logged(output: Output, offset: int = 0) -> Record:
    """The event as it lies in its log."""
    return Record(output.topic, 0, offset, 0, output.key, output.value, output.headers)


def counts(subject: Differences) -> list[tuple[int, int, int, int]]:
    kinds = ("same", "missing", "different", "log_only")
    return [tuple(row.count(kind) for kind in kinds) for row in subject.rows()]  # type: ignore[misc]


# ------------------------------------------------------------------------------ what passes


def test_into_side_logs_go_events_and_rejections_under_the_id_and_no_reply() -> None:
    outputs = driver(IntoSide("r1")).send(mixed("m-1"))
    assert [o.topic for o in outputs] == [
        "cim.replay-r1.i7.rejected",
        "cim.replay-r1.i7.meter-readings",
    ]
    assert {header(o, "cimstream_replayid") for o in outputs} == {"r1"}


def test_a_training_message_goes_to_a_side_log_of_its_context() -> None:
    data = message("m-1", extra="<Context>TRAINING</Context>")
    topics = {o.topic for o in driver(IntoSide("r1")).send(data)}
    assert topics == {"cim.replay-r1.training.i7.meter-readings"}


def test_an_event_of_a_side_log_is_the_event_of_the_log_but_for_the_id() -> None:
    (event, *_) = Driver().send(message("m-1"))
    (side, *_) = driver(IntoSide("r1")).send(message("m-1"))
    assert (side.key, side.value) == (event.key, event.value)
    assert side.headers == (*event.headers, ("cimstream_replayid", b"r1"))


def test_a_misplaced_message_is_not_forwarded_a_second_time() -> None:
    subject = driver(IntoSide("r1"))
    home = home_of(subject, "m-1")
    for partition in range(subject.partitions):
        topics = {o.topic for o in subject.send(message("m-1"), partition=partition)}
        assert topics == ({"cim.replay-r1.i7.meter-readings"} if partition == home else set())


def test_before_the_range_nothing_passes_and_a_repeat_within_it_is_recognised() -> None:
    subject = driver(Nowhere())
    assert subject.send(mixed("m-1")) == []
    subject.intake._outlet = IntoSide("r1")  # type: ignore[attr-defined]
    assert subject.send(mixed("m-1")) == []
    assert [o.topic for o in subject.send(mixed("m-1").replace(b"1.5", b"1.6"))] == [
        "cim.replay-r1.i7.rejected"
    ]


class Careless(Intake):
    """An intake of a later release that also writes where a replay must not."""

    def process(self, record: Record, prepared: Understood | Refused, context: Context) -> None:
        for topic in ("cim.i7.outbound", "cim.i7.inbound", "cim.i7.accepted", "cim.audit", "x"):
            context.emit(Output(topic, b"k", b"v"))


@pytest.mark.parametrize("outlet", [IntoSide("r1"), IntoLog("r1", differences())])
def test_what_is_neither_event_nor_rejection_goes_nowhere(outlet: Outlet) -> None:
    subject = Driver()
    subject.intake = Replay(Careless(CATALOGUE, ["I7"]), CATALOGUE, outlet)  # type: ignore[assignment]
    assert subject.send(message("m-1")) == []


def test_a_record_that_breaks_the_processor_is_rejected_into_the_side_log() -> None:
    subject = Replay(Intake(CATALOGUE, ["I7"]), CATALOGUE, IntoSide("r1"))
    record = Record(INBOUND, 0, 0, 0, b"k", b"v", ())
    context = Context({}, None, None, None)  # type: ignore[arg-type]
    subject.reject(record, "processing_failed", "ValueError", context, with_value=True)
    assert [o.topic for o in context.outputs] == ["cim.replay-r1.i7.rejected"]


def test_what_a_killed_run_has_written_is_gone_through_without_effect() -> None:
    subject = driver(Nowhere())
    home = home_of(subject, "m-1")
    neighbour = next(x for x in map(str, range(99)) if home_of(subject, x) == home)
    subject = driver(Remaining(IntoSide("r1"), {home: 1}))
    assert subject.send(mixed("m-1"), partition=home) == []  # at 0, written before
    assert subject.send(mixed("m-1"), partition=home) == []  # at 1, a repeat of it
    assert len(subject.send(mixed(neighbour), partition=home)) == 2  # at 2


# ------------------------------------------------------------------------------- differences


def test_an_unchanged_log_is_the_same_and_nothing_of_it_is_wanted() -> None:
    subject, events = differences(), Driver().send(message("m-1"))
    assert driver(Rehearsed(subject)).send(message("m-1")) == []
    for event in events:
        subject.found(logged(event))
    assert counts(subject) == [(2, 0, 0, 0)]
    assert subject.rows()[0].equal
    assert driver(IntoLog("r1", subject)).send(message("m-1")) == []


def test_a_missing_event_is_found_with_its_place_and_alone_is_wanted() -> None:
    subject, events = differences(), Driver().send(message("m-1"))
    rehearsed = driver(Rehearsed(subject))
    rehearsed.send(message("m-1"))
    subject.found(logged(events[0]))
    (record,) = rehearsed.log.values()
    assert counts(subject) == [(1, 1, 0, 0)]
    assert subject.rows()[0].places == {"missing": [str(record)]}
    (mended,) = driver(IntoLog("r1", subject)).send(message("m-1"))
    assert (mended.topic, mended.key, mended.value) == (LOG, events[1].key, events[1].value)
    assert header(mended, "cimstream_replayid") == "r1"


@pytest.mark.parametrize("changed", ["key", "body", "verb"])
def test_an_event_with_other_content_is_different(changed: str) -> None:
    subject, (event,) = differences(), Driver().send(message("m-1", ["a"]))
    driver(Rehearsed(subject)).send(message("m-1", ["a"]))
    assert event.value
    other = {
        "key": event._replace(key=b"z"),
        "body": event._replace(value=event.value[:-1] + bytes([event.value[-1] ^ 1])),
        "verb": event._replace(
            headers=tuple(
                (n, b"cim.MeterReadings.changed" if n == "ce_type" else v) for n, v in event.headers
            )
        ),
    }[changed]
    subject.found(logged(other))
    assert counts(subject) == [(0, 0, 1, 0)]
    assert len(driver(IntoLog("r1", subject)).send(message("m-1", ["a"]))) == 1


def test_where_an_event_was_read_and_what_its_envelope_says_makes_no_difference() -> None:
    """As after a redrive: another inbound offset, another Timestamp, another trace."""
    subject, elsewhere = differences(), Driver()
    for _ in range(3):
        elsewhere.send(b"not XML", partition=home_of(elsewhere, "m-1"))
    correlated = "<CorrelationID>9</CorrelationID>"
    again = message("m-1", timestamp="2026-11-09T09:09:09Z", extra=correlated)
    driver(Rehearsed(subject)).send(message("m-1"))
    for event in elsewhere.send(again, headers=(("traceparent", b"00-1-2-01"),)):
        subject.found(logged(event))
    assert counts(subject) == [(2, 0, 0, 0)]


def test_an_event_that_lies_in_the_log_twice_with_two_contents_is_there() -> None:
    """Both what a wrong mapping wrote and what a replay mended."""
    subject, (event,) = differences(), Driver().send(message("m-1", ["a"]))
    driver(Rehearsed(subject)).send(message("m-1", ["a"]))
    for offset, key in enumerate((event.key, b"z")):
        subject.found(logged(event._replace(key=key), offset))
    assert counts(subject) == [(1, 0, 0, 0)]


def test_an_event_of_the_range_that_the_processors_do_not_make_is_in_the_log_only() -> None:
    subject = differences()
    for event in Driver().send(message("m-1", ["a"])):
        subject.found(logged(event, 7))
    assert counts(subject) == [(0, 0, 0, 1)]
    assert subject.rows()[0].places == {"log_only": [f"{LOG}/0@7"]}


def test_an_event_that_came_from_outside_the_range_does_not_count() -> None:
    subject = differences(end=0)
    for event in Driver().send(message("m-1")):
        subject.found(logged(event))
    assert counts(subject) == []


def test_what_is_no_event_of_ours_in_a_log_is_passed_over() -> None:
    subject = differences()
    for value in (None, b"", b"\x01", b"\x00\x00\x00\x03\xe9\xff\xff", b"text"):
        subject.found(Record(LOG, 0, 0, 0, None, value, ()))
    assert counts(subject) == []


def test_an_event_expected_twice_past_the_horizon_is_wanted_once() -> None:
    subject = differences()

    def twice(outlet: Outlet) -> list[int]:
        again = driver(outlet)
        first = again.send(message("m-1", ["a"]))
        again.now_ms += CATALOGUE.dedup_horizon_ms + 1
        return [len(first), len(again.send(message("m-1", ["a"])))]

    assert twice(Rehearsed(subject)) == [0, 0]
    assert twice(IntoLog("r1", subject)) == [1, 0]
    assert counts(subject) == [(0, 1, 0, 0)]


def test_rejections_are_counted_by_code_with_the_first_place() -> None:
    subject = differences()
    rehearsed = driver(Rehearsed(subject))
    for number in range(3):
        rehearsed.send(mixed(f"m-{number}"))
    rehearsed.send(b"not XML", partition=5)
    found = {one.code: one.count for one in subject.rejections()}
    assert found == {"value_not_number": 3, "xml_not_wellformed": 1}
    places = [str(r) for r in rehearsed.log.values() if r.value != b"not XML"]
    (first,) = [one.first for one in subject.rejections() if one.code == "value_not_number"]
    assert first == min(places, key=lambda text: (text.split("@")[0], int(text.split("@")[1])))


# -------------------------------------------------------------------------------- identities


def record(data: bytes | None) -> Record:
    return Record(INBOUND, 0, 0, 0, None, data, ())


@pytest.mark.parametrize(
    "data",
    [
        message("m-1"),
        message(""),  # known by its content
        message("m-1", extra="<Context>TRAINING</Context>"),
    ],
)
def test_a_message_of_the_past_with_an_identity_of_the_range_matters(data: bytes) -> None:
    subject = Identities(Intake(CATALOGUE, ["I7"]), MemoryState())
    assert record(data) not in subject
    subject.add(record(data))
    assert record(m.reserialised(data)) in subject
    assert record(message("m-2")) not in subject


@pytest.mark.parametrize("data", [None, b"", b"not XML", b"<a/>"])
def test_what_has_no_identity_does_not_matter(data: bytes | None) -> None:
    subject = Identities(Intake(CATALOGUE, ["I7"]), MemoryState())
    subject.add(record(data))
    assert record(data) not in subject
