"""What follows from outcomes, receipts and the time."""

from __future__ import annotations

import pytest

from connectors.destinations import Destination
from connectors.outbound import Outcome, Verdict
from schemas.envelope import Header, Reply, read, reply_to, write
from streams.engine.record import Record, TopicPartition
from streams.runtime.delivery.attempts import Attempted
from streams.runtime.delivery.book import Book, outbound_topics
from streams.runtime.delivery.endings import Endings
from streams.runtime.delivery.entry import Entry
from streams.runtime.delivery.events import DeliveryEvent
from streams.runtime.delivery.receipts import Claim, Told, about, said
from streams.runtime.headers import header
from streams.runtime.rejections import Place
from tests.integration.delivery.rig import work_order
from topics import load_catalogue

CATALOGUE = load_catalogue()
AT = TopicPartition("cim.i4.outbound", 0)
RECEIPTS = TopicPartition("cim.i4.receipts", 0)
START_MS = 1_000_000_000_000


class Silent:
    def emit(self, event: DeliveryEvent) -> None:
        pass


def rest(**said_: object) -> Destination:
    return Destination.model_validate({"kind": "rest", "url": "http://crew", **said_})


def record(offset: int, to: str = "CREW", value: bytes | None = None, **told: str) -> Record:
    headers = {
        "ce_id": f"m-{offset}", "ce_source": "WMS", "ce_interface": "I4", "ce_noun": "WorkOrders",
        "ce_verb": "create", "ce_destination": to, "ce_subject": "o-1", **told,
    }  # fmt: skip
    encoded = tuple((name, text.encode()) for name, text in headers.items() if text)
    data = work_order(f"m-{offset}", "o-1", to) if value is None else value
    return Record(*AT, offset, START_MS, to.encode(), data, encoded)


def control(offset: int, subject: str = "o-1") -> Record:
    told = {"ce_subject": subject, "ce_noun": "SwitchingOrders", "ce_verb": "execute"}
    return record(offset, "CREW", None, **told)


class Desk:
    """A book with what is chosen of it."""

    def __init__(self, **destinations: Destination) -> None:
        self.book = Book(destinations or {"CREW": rest()}, CATALOGUE, Silent())
        self.now_ms = START_MS
        self.records: dict[int, Record] = {}

    def hear(self, *records: Record) -> None:
        for one in records:
            self.records[one.offset] = one
            self.book.hear(one)

    def choose(self) -> tuple[list[int], list[int]]:
        sends, reads = self.book.choose(self.now_ms)
        return [e.place.offset for e in sends], [e.place.offset for e in reads]

    def settle(self, offset: int, verdict: Verdict, why: str = "") -> None:
        outcome = Outcome(verdict, why)
        done = Attempted(Place(AT, offset), self.records[offset], outcome)
        self.book.settle(done, self.now_ms)

    def read(self, offset: int) -> None:
        """A reading comes back."""
        entry = self.book.table.get(Place(AT, offset))
        assert entry is not None
        done = Attempted(entry.place, self.records[offset], None, entry.fate)
        self.book.settle(done, self.now_ms)

    def told(self, told: Told) -> None:
        output = about(told, "I4", 0)
        self.book.hear(Record(*RECEIPTS, 0, START_MS, output.key, output.value, output.headers))

    @property
    def fates(self) -> list[tuple[int, str]]:
        return [(entry.place.offset, entry.fate) for entry, _ in self.book.changes.ends]

    @property
    def pending(self) -> dict[int, Entry | None]:
        """What the changelog would say."""
        return {
            place.offset: None if value is None else Entry.from_record(str(place).encode(), value)
            for place, value in self.book.changes.pending.items()
        }


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_message_is_pending_before_its_offset_is_passed_and_no_more_once_it_is_delivered(
    desk: Desk,
) -> None:
    desk.hear(record(0))
    pending = desk.pending[0]
    assert pending is not None
    assert (pending.destination, pending.message_id, pending.subject) == ("CREW", "m-0", "o-1")
    assert desk.choose() == ([0], [])
    desk.settle(0, Verdict.DONE)
    assert desk.pending == {0: None}
    assert desk.fates == [(0, "delivered")]


def test_replies_and_messages_to_systems_that_are_not_in_the_file_pass_by(desk: Desk) -> None:
    desk.hear(record(0, "SOMEBODY"), record(1, ce_verb="reply"), record(2, ""))
    assert not desk.book.changes


def test_a_message_of_a_parallel_context_waits_for_nobody_who_does_not_name_it() -> None:
    desk = Desk(CREW=rest(), BOTH=rest(contexts=("PRODUCTION", "TRAINING")))
    topic = "cim.training.i4.outbound"
    desk.hear(record(0)._replace(topic=topic), record(1, "BOTH")._replace(topic=topic))
    assert list(desk.pending) == [1]


@pytest.mark.parametrize("verdict", [Verdict.AGAIN, Verdict.UNKNOWN])
def test_what_failed_is_tried_again_later(desk: Desk, verdict: Verdict) -> None:
    desk.hear(record(0))
    desk.choose()
    desk.settle(0, verdict, "HTTP 500")
    pending = desk.pending[0]
    assert pending is not None
    assert (pending.attempts, pending.why) == (1, "HTTP 500")
    assert desk.choose() == ([], [])
    desk.now_ms += 1_300
    assert desk.choose() == ([0], [])


def test_what_is_refused_is_over_at_once(desk: Desk) -> None:
    desk.hear(record(0), record(1))
    desk.choose()
    desk.settle(0, Verdict.REFUSED, "HTTP 400")
    assert desk.fates == [(0, "delivery_refused")]
    assert desk.choose() == ([1], [])


def test_after_as_many_attempts_as_it_has_it_is_over() -> None:
    desk = Desk(CREW=rest(attempts_max=2))
    desk.hear(record(0))
    for _ in range(2):
        assert desk.choose() == ([0], [])
        desk.settle(0, Verdict.UNKNOWN)
        desk.now_ms += 10_000
    assert desk.fates == [(0, "delivery_failed")]


def test_a_control_is_begun_in_the_changelog_before_it_is_sent(desk: Desk) -> None:
    desk.hear(control(0))
    assert desk.choose() == ([0], [])
    pending = desk.pending[0]
    assert pending is not None
    assert pending.begun


def test_a_control_that_may_have_arrived_is_not_sent_again_and_one_that_has_not_is(
    desk: Desk,
) -> None:
    desk.hear(control(0))
    desk.choose()
    desk.settle(0, Verdict.AGAIN)
    pending = desk.pending[0]
    assert pending is not None
    assert not pending.begun
    desk.now_ms += 10_000
    assert desk.choose() == ([0], [])
    desk.settle(0, Verdict.UNKNOWN)
    assert desk.fates == [(0, "delivery_unknown")]


def test_a_control_is_repeated_where_the_destination_recognises_repeats() -> None:
    desk = Desk(CREW=rest(idempotent=True))
    desk.hear(control(0))
    desk.choose()
    desk.settle(0, Verdict.UNKNOWN)
    desk.now_ms += 10_000
    assert desk.choose() == ([0], [])


def test_what_is_restored_goes_on_and_a_control_that_was_begun_is_over(desk: Desk) -> None:
    desk.hear(record(0), control(1, "o-2"), record(2, ce_subject="o-3"))
    desk.choose()
    desk.told(Told("CREW", "delivered", place=f"{AT}@2"))
    kept = {str(p).encode(): v for p, v in desk.book.changes.pending.items() if v is not None}
    successor = Desk()
    successor.records = desk.records
    successor.book.restore(kept, {AT})
    assert successor.choose() == ([0], [1, 2])
    successor.read(1)
    successor.read(2)
    assert successor.fates == [(1, "delivery_unknown"), (2, "delivered")]


def test_an_acknowledgement_survives_a_restart_before_its_end_is_written() -> None:
    destinations = {"CREW": Destination.model_validate({"kind": "pull"})}
    desk = Desk(**destinations)
    desk.hear(record(0))
    desk.told(Told("CREW", "delivered", place=f"{AT}@0"))
    kept = {str(p).encode(): v for p, v in desk.book.changes.pending.items() if v is not None}
    successor = Desk(**destinations)
    successor.records = desk.records
    successor.book.restore(kept, {AT})
    assert successor.choose() == ([], [0])
    successor.read(0)
    assert successor.fates == [(0, "delivered")]


def test_only_the_destination_itself_can_acknowledge_and_only_once() -> None:
    desk = Desk(CREW=Destination.model_validate({"kind": "pull"}))
    desk.hear(record(0))
    desk.told(Told("OTHER", "delivered", place=f"{AT}@0"))
    assert desk.choose() == ([], [])
    desk.told(Told("CREW", "nonsense", place=f"{AT}@0"))
    desk.told(Told("CREW", "delivered", place=f"{AT}@0"))
    assert desk.choose() == ([], [0])
    desk.read(0)
    assert desk.fates == [(0, "delivery_refused")]


def test_a_reply_of_the_destination_is_led_to_whoever_holds_the_delivery() -> None:
    desk = Desk(CREW=rest(receipt="reply"))
    desk.hear(record(0))
    desk.choose()
    desk.settle(0, Verdict.TAKEN)
    desk.now_ms += 10_000
    assert desk.choose() == ([], [])
    asked = Header("create", "WorkOrders", source="WMS", message_id="m-0")
    value = write(reply_to(asked, Reply("OK"), message_id="r", timestamp_ms=0))
    told = {"ce_verb": "reply", "ce_source": "CREW", "ce_correlationid": "m-0"}
    desk.hear(record(1, "WMS", value, **told))
    (output,) = desk.book.changes.outputs
    assert (output.topic, output.partition) == ("cim.i4.receipts", 0)
    what = said(Record(*RECEIPTS, 0, 0, output.key, output.value, ()))
    assert what == Told("CREW", "delivered", name="m-0")
    desk.told(what)
    assert desk.choose() == ([], [0])
    desk.read(0)
    assert desk.fates == [(0, "delivered")]


def test_a_receipt_that_is_faster_than_the_answer_to_the_attempt_counts() -> None:
    desk = Desk(CREW=rest(receipt="reply"))
    desk.hear(record(0))
    desk.choose()
    desk.told(Told("CREW", "delivered", name="m-0"))
    desk.settle(0, Verdict.TAKEN)
    assert desk.choose() == ([], [0])
    desk.read(0)
    assert desk.fates == [(0, "delivered")]


def test_what_expires_is_over_whether_it_was_tried_or_not(desk: Desk) -> None:
    desk.hear(record(0, cimstream_expires=str(START_MS + 10)), record(1))
    desk.now_ms += 10
    assert desk.choose() == ([], [0])
    desk.read(0)
    assert desk.fates == [(0, "delivery_expired")]


def test_a_message_lives_no_longer_than_the_destination_gives_it() -> None:
    desk = Desk(CREW=rest(expiry_h=1))
    desk.hear(record(0, cimstream_expires=str(START_MS * 2)))
    pending = desk.pending[0]
    assert pending is not None
    assert pending.expires_ms == START_MS + 3_600_000


def test_what_is_more_than_may_wait_is_a_dead_letter() -> None:
    desk = Desk(CREW=rest(pending_max=1))
    desk.hear(record(0), record(1))
    assert desk.choose() == ([0], [1])
    desk.read(1)
    assert desk.fates == [(1, "destination_full")]


def test_what_comes_back_of_a_partition_that_was_given_away_changes_nothing(desk: Desk) -> None:
    desk.hear(record(0))
    desk.choose()
    desk.book.committed()
    desk.book.release({AT})
    desk.settle(0, Verdict.DONE)
    assert not desk.book.changes


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"v":2}', b'{"v":1,"is":"x"}', b"\xff"])
def test_what_nobody_of_us_said_is_passed_over(desk: Desk, value: bytes) -> None:
    desk.book.hear(Record(*RECEIPTS, 0, 0, None, value, ()))
    assert not desk.book.changes
    assert Entry.from_record(b"cim.i4.outbound/0@1", value) is None


def test_claims_and_receipts_are_read_as_they_were_written() -> None:
    for what in (Claim("CREW", "t", 5, ("a", "b")), Told("CREW", "delivered", "w", "p", "n")):
        output = about(what, "I4", 0)
        assert said(Record(*RECEIPTS, 0, 0, output.key, output.value, ())) == what


# ------------------------------------------------------------------------------- ends


def ended(fate: str, one: Record, *, why: str = "") -> list[tuple[str, Record]]:
    """What is written, by topic, as records."""
    entry = Entry.of(one, 1_000)
    entry.fate, entry.why = fate, why
    outputs = Endings(outbound_topics(CATALOGUE)).outputs(entry, one, START_MS + 5)
    return [(o.topic, Record(o.topic, 0, 0, 0, o.key, o.value, o.headers)) for o in outputs]


def test_a_dead_letter_holds_the_message_its_address_and_why() -> None:
    one = record(3, cimstream_expires="77")
    topics = dict(ended("delivery_refused", one, why="HTTP 400"))
    letter = topics["cim.i4.rejected"]
    assert (letter.key, letter.value) == (one.key, one.value)
    assert header(letter, "cimstream_code") == "delivery_refused"
    assert header(letter, "cimstream_why") == "HTTP 400"
    assert header(letter, "__connect.errors.topic") == AT.topic
    assert header(letter, "cimstream_expires") == "77"
    assert header(letter, "ce_destination") == "CREW"


@pytest.mark.parametrize(("fate", "result"), [("delivered", "OK"), ("delivery_expired", "FAILED")])
def test_who_asks_for_it_hears_what_became_of_the_message(fate: str, result: str) -> None:
    value = work_order("m-3", "o-1", "CREW", AckRequired="true")
    topics = dict(ended(fate, record(3, value=value)))
    told = topics[AT.topic]
    message = read(told.value or b"")
    assert message.reply is not None
    assert message.header is not None
    assert (message.reply.result, message.header.correlation_id) == (result, "m-3")
    assert header(told, "cimstream_fate") == fate
    assert (told.key, header(told, "ce_destination")) == (b"WMS", "WMS")


def test_who_does_not_ask_hears_nothing_and_the_fate_of_a_reply_is_told_to_nobody() -> None:
    assert [topic for topic, _ in ended("delivered", record(3))] == ["cim.audit"]
    asked = Header("create", "WorkOrders", source="WMS", message_id="m-0")
    value = write(reply_to(asked, Reply("OK"), message_id="r", timestamp_ms=0, source="CREW"))
    assert [topic for topic, _ in ended("delivered", record(3, value=value))] == ["cim.audit"]


def test_what_the_log_no_longer_has_is_audited_all_the_same() -> None:
    entry = Entry.of(record(3), 1_000)
    entry.fate = "delivery_expired"
    outputs = Endings(outbound_topics(CATALOGUE)).outputs(entry, None, START_MS)
    assert [output.topic for output in outputs] == ["cim.audit"]
