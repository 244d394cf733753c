"""A redrive on a log in memory: each message once, whatever the broker answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from threading import Event
from types import SimpleNamespace
from typing import cast

import pytest

from connectors.inbound import admit
from streams.engine.errors import (
    EngineError,
    FencedError,
    RefusedError,
    TransientError,
    UnknownOutcomeError,
)
from streams.engine.ports import Delivered, Origin, Position
from streams.engine.record import Output, Record, TopicPartition
from streams.runtime import redrive
from streams.runtime.audit import audit_record
from streams.runtime.reading import TopicReader
from streams.runtime.redrivable import Candidate
from streams.runtime.redrive import Outcome, Redriver, Sent
from streams.runtime.rejections import Place
from tests.unit.intake.driver import CATALOGUE, Driver, codes
from tests.unit.runtime.log import OneLog
from tests.unit.runtime.rejected import EARLIER, candidates, lying, place, rejection, request
from topics import naming

Failure = Callable[["Log"], EngineError]


class Log:
    """Transactions in memory; `fail` names a call and what it raises, once each, in order."""

    transactional_id = "redrive"

    def __init__(self) -> None:
        self.commits: list[list[Output]] = []
        self.calls: list[str] = []
        self.resets = 0
        self.fail: list[tuple[str, Failure]] = []
        self.refuses: bytes | None = None
        self._open: list[tuple[Output, Origin | None]] | None = None

    def _may_fail(self, call: str) -> None:
        if self.fail and self.fail[0][0] == call:
            _, error = self.fail.pop(0)
            raise error(self)

    def reset(self) -> None:
        self._open = None
        self.resets += 1
        self.calls.append("reset")
        self._may_fail("reset")

    def begin(self, *, long: bool = False) -> None:
        self.calls.append("begin")
        assert self.resets, "nothing was fenced yet"
        assert self._open is None, "the transaction before was not ended"
        self._open = []

    def produce(self, output: Output, origin: Origin | None) -> None:
        assert self._open is not None
        self._open.append((output, origin))
        self._may_fail("produce")

    def send_offsets(self, offsets: Mapping[TopicPartition, Position], group: object) -> None:
        raise AssertionError("a redrive has no offsets")

    def clear(self, transactional_ids: Sequence[str]) -> Mapping[str, str]:
        raise AssertionError("a redrive ends nobody else's transactions")

    def delivered(self) -> Mapping[TopicPartition, Delivered]:
        return {}

    def commit(self) -> None:
        self._may_fail("commit")
        assert self._open is not None
        if guilty := [o for out, o in self._open if out.value == self.refuses and o]:
            raise RefusedError(guilty, "MSG_SIZE_TOO_LARGE")
        self.end()
        self._may_fail("committed")

    def end(self) -> None:
        assert self._open is not None
        self.commits.append([output for output, _ in self._open])
        self._open = None

    def abort(self) -> None:
        self._may_fail("abort")
        self._open = None

    def close(self) -> None:
        self._open = None

    def of(self, topic: str) -> list[Output]:
        return [out for commit in self.commits for out in commit if out.topic == topic]

    def audited(self) -> list[Place]:
        keys = [(out.key or b"").decode().rpartition("@") for out in self.of("cim.audit")]
        return [place(int(offset)) for _, _, offset in keys]


class Stop(Event):
    """Does not wait: it moves the clock."""

    now_s = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now_s += timeout or 0.0
        return self.is_set()


class World:
    """Rejections, the log, and what a redrive of them told."""

    def __init__(self, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
        driver = Driver(catalogue=EARLIER)
        self.records = [rejection(self.data(n), n, driver=driver) for n in range(count)]
        self.log = Log()
        self.stop = Stop()
        self.sent: list[Sent] = []
        self.on_sent: Callable[[Sent], None] = self.note
        self.troubles: list[str] = []
        self.at_s: list[float] = []
        clock = SimpleNamespace(monotonic=lambda: self.stop.now_s, time_ns=lambda: 1_000_000)
        monkeypatch.setattr(redrive, "time", clock)

    @staticmethod
    def data(number: int) -> bytes:
        return request(message_id=f"m-{number}")

    def note(self, sent: Sent) -> None:
        self.sent.append(sent)
        self.at_s.append(self.stop.now_s)

    def run(self, rate: float = 50.0, only: Collection[Candidate] | None = None) -> Outcome:
        def read_back(places: Collection[Place]) -> Iterator[Record]:
            return (r for r in self.records if place(r.offset) in places)

        def on_trouble(reason: str, retry_s: float) -> None:
            self.troubles.append(reason)

        def redriven(places: Collection[Place]) -> Collection[Place]:
            self.log.calls.append("audit")
            return set(places).intersection(self.log.audited())

        redriver = Redriver(
            CATALOGUE,
            self.log,
            redriven,
            run="run-1",
            on_sent=self.on_sent,
            on_trouble=on_trouble,
            stop=self.stop,
        )
        return redriver.run(candidates(*self.records) if only is None else only, read_back, rate)

    def inbound(self) -> list[bytes | None]:
        return [output.value for output in self.log.of("cim.i7.inbound")]

    def all_once(self) -> bool:
        return sorted(self.inbound(), key=str) == sorted(
            (record.value for record in self.records), key=str
        ) and self.log.audited() == [place(record.offset) for record in self.records]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(25, monkeypatch)


def done(redriven: int, **more: int) -> Outcome:
    return Outcome(redriven, **{"refused": 0, "meanwhile": 0, "gone": 0, "left": 0, **more})


def test_a_message_and_its_audit_record_are_one_transaction(world: World) -> None:
    assert world.run() == done(25)
    assert world.all_once()
    for commit in world.log.commits:
        places = [dict(o.headers)["cimstream_redrivenfrom"] for o in commit if o.value in
                  world.inbound()]  # fmt: skip
        assert places == [output.key for output in commit if output.topic == "cim.audit"]


def test_a_redriven_message_is_what_its_sender_would_send_and_says_where_it_came_from(
    world: World,
) -> None:
    world.run()
    output = world.log.of("cim.i7.inbound")[0]
    sent = admit(world.data(0), "I7", CATALOGUE, received_ms=world.records[0].timestamp_ms)
    assert (output.key, output.value) == (sent.key, sent.value)
    told = dict(output.headers)
    assert told.pop("cimstream_redrivenfrom") == b"cim.i7.rejected/0@0"
    assert len(told.pop("traceparent").split(b"-")) == 4
    assert told == dict(sent.headers)


def test_the_trace_of_a_message_goes_on(world: World) -> None:
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    record = world.records[0]
    world.records = [record._replace(headers=(*record.headers, ("traceparent", trace)))]
    world.run()
    assert dict(world.log.of("cim.i7.inbound")[0].headers)["traceparent"] == trace


def test_the_audit_says_who_did_what_and_nothing_of_what_the_message_holds(world: World) -> None:
    world.run()
    output = world.log.of("cim.audit")[0]
    told = json.loads(output.value or b"")
    assert output.key == b"cim.i7.rejected/0@0"
    assert (told["action"], told["about"]) == ("redrive", "cim.i7.rejected/0@0")
    assert (told["run"], told["code"], told["topic"]) == (
        "run-1", "noun_planned", "cim.i7.inbound",
    )  # fmt: skip
    assert "@" in told["by"]
    assert len(told["identity_sha256"]) == 64
    assert b"HES-1" not in (output.value or b"")
    assert b"m-0" not in (output.value or b"")


def test_the_audit_is_read_behind_the_fence_and_before_anything_is_sent(world: World) -> None:
    """Before the fence the predecessor could still commit what is not in the audit yet."""
    world.log.fail = [("reset", lambda _: TransientError("coordinator away"))]
    world.log.fail += [("commit", unheard(happened=False))]
    world.run()
    assert world.log.calls[:6] == ["reset", "reset", "audit", "begin", "reset", "audit"]


def unheard(happened: bool) -> Failure:
    def fail(log: Log) -> EngineError:
        if happened:
            log.end()
        # Until `reset`, a producer in doubt refuses everything.
        log.fail.insert(0, ("abort", lambda _: UnknownOutcomeError("reset first")))
        return UnknownOutcomeError("no answer")

    return fail


@pytest.mark.parametrize("happened", [True, False])
def test_what_an_unheard_commit_did_is_read_in_the_audit(world: World, happened: bool) -> None:
    world.log.fail = [("commit", unheard(happened))]
    assert world.run() == done(25)
    assert world.all_once()
    assert [sent.place for sent in world.sent] == world.log.audited()
    assert world.log.resets == 2
    assert world.troubles == ["no answer"]


def audit_log(*outputs: Output) -> OneLog:
    records = [lying(output, offset) for offset, output in enumerate(outputs)]
    return OneLog(TopicPartition(naming.AUDIT, 0), records)


def audited(action: str, number: int, run: str) -> Output:
    return audit_record(action, str(place(number)), by="me", time_ms=0, details={"run": run})


def test_the_audit_says_which_places_were_redriven_and_in_which_run() -> None:
    """Another act about the same place is none; what is still open is waited for when asked."""
    audit = audit_log(
        audited("redrive", 1, "a"), audited("redrive", 2, "b"), audited("looked", 3, "a")
    )
    reader, places = cast(TopicReader, audit), {place(n) for n in range(4)}
    assert redrive.redriven(reader, places) == {place(1), place(2)}
    assert redrive.redriven(reader, places, run="b", settled=True) == {place(2)}
    assert redrive.redriven(reader, {place(0), place(1)}) == {place(1)}
    assert audit.asked == [True, False, True]


def test_a_lost_transaction_is_repeated(world: World) -> None:
    world.log.fail = [
        ("produce", lambda _: TransientError("full")),
        ("commit", lambda _: TransientError("abort asked")),
        ("reset", lambda _: TransientError("coordinator away")),
    ]
    assert world.run() == done(25)
    assert world.all_once()


def test_what_the_broker_refuses_stays_rejected_and_its_neighbours_enter(world: World) -> None:
    world.log.refuses = world.data(13)
    assert world.run() == done(24, refused=1)
    assert world.data(13) not in world.inbound()
    assert place(13) not in world.log.audited()
    (refused,) = [sent for sent in world.sent if sent.failure]
    assert (refused.place, refused.failure) == (place(13), "MSG_SIZE_TOO_LARGE")
    assert [sent.place.offset for sent in world.sent] == list(range(25))


def test_an_abort_in_doubt_after_a_refusal_is_settled(world: World) -> None:
    world.log.refuses = world.data(0)
    world.log.fail = [("abort", lambda _: UnknownOutcomeError("no answer"))]
    assert world.run() == done(24, refused=1)
    assert world.log.resets == 2


def test_a_redrive_that_another_one_fenced_ends(world: World) -> None:
    world.log.fail = [("commit", lambda _: FencedError("taken"))]
    with pytest.raises(FencedError):
        world.run()
    assert world.log.commits == []
    world.log.fail = [
        ("commit", lambda _: TransientError("abort asked")),
        ("abort", lambda _: FencedError("taken")),
    ]
    with pytest.raises(FencedError):
        world.run()
    assert world.log.commits == []


def test_a_broker_that_stays_ill_ends_it_with_what_is_done_done(world: World) -> None:
    world.log.fail = [("committed", lambda _: TransientError("ill"))]
    world.log.fail += [("commit", lambda _: TransientError("ill"))] * 100
    with pytest.raises(TransientError):
        world.run()
    assert len(world.inbound()) == 10
    world.log.fail = []
    assert world.run() == done(15, meanwhile=10)
    assert world.all_once()


def test_what_was_redriven_after_the_plan_was_made_is_not_redriven_again(world: World) -> None:
    planned = candidates(*world.records)
    world.run(only=planned[3:7])
    assert world.run(only=planned) == done(21, meanwhile=4)
    assert sorted(world.log.audited()) == [place(n) for n in range(25)]


def test_what_is_no_longer_in_the_log_is_told(world: World) -> None:
    planned = candidates(*world.records)
    del world.records[:5]
    assert world.run(only=planned) == done(20, gone=5)


def test_a_stop_lets_the_batch_under_way_end(world: World) -> None:

    def stopping(one: Sent) -> None:
        world.note(one)
        world.stop.set()

    world.on_sent = stopping
    assert world.run() == done(10, left=15)
    assert len(world.inbound()) == 10


def test_no_more_than_the_rate_enter_in_any_second(world: World) -> None:
    world.run(rate=10)
    assert max(map(len, world.log.commits)) == 2 * 2  # a fifth of a second, each with its audit
    for second in range(4):
        within = [at_s for at_s in world.at_s if second <= round(at_s, 6) < second + 1]
        assert len(within) <= 10
    assert world.at_s[-1] == pytest.approx(2.4)


def test_less_than_one_a_second_is_a_rate_too(world: World) -> None:
    world.run(rate=0.1)
    assert world.at_s == [pytest.approx(10.0 * n) for n in range(25)]


def test_time_that_was_lost_is_not_made_up_for(world: World) -> None:

    def slow(one: Sent) -> None:
        world.note(one)
        if one.place == place(4):
            world.stop.now_s += 100.0

    world.on_sent = slow
    world.run(rate=1)
    assert world.at_s[5:8] == [pytest.approx(s) for s in (104.0, 105.0, 106.0)]


def test_intake_judges_a_redriven_message_like_any_other_and_keeps_where_it_came_from(
    world: World,
) -> None:
    world.run()
    output = world.log.of("cim.i7.inbound")[0]
    outputs = Driver(catalogue=EARLIER).send(output.value or b"", headers=output.headers)
    assert codes(outputs) == ["noun_planned"]
    (rejected,) = [out for out in outputs if out.topic == "cim.i7.rejected"]
    assert ("cimstream_redrivenfrom", b"cim.i7.rejected/0@0") in rejected.headers
