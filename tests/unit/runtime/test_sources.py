"""The life of a source: what is committed, what is confirmed, and what follows a failure."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import pytest

from connectors.api import Batch, PeerUnavailableError, Received, Skipped
from connectors.inbound import admit
from streams.engine.errors import (
    EngineError,
    FatalError,
    FencedError,
    RefusedError,
    TransientError,
    UnknownOutcomeError,
)
from streams.engine.ports import Delivered, Origin, Position
from streams.engine.record import Output, Record, TopicPartition
from streams.runtime import sources
from streams.runtime.reading import TopicReader
from streams.runtime.sources import (
    SourceCommitted,
    SourceEvent,
    SourceInterrupted,
    SourceLog,
    SourceRunner,
    SourceSkipped,
)
from tests.unit.runtime.log import OneLog
from topics import Catalogue, load_catalogue, naming


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


class Log:
    """Transactions in memory; `fail` names a call and what it raises, once each."""

    transactional_id = "source"

    def __init__(self) -> None:
        self.committed: list[Output] = []
        self.resets = 0
        self.fail: list[tuple[str, Callable[[Log], EngineError]]] = []
        self._open: list[tuple[Output, Origin | None]] = []

    def _may_fail(self, call: str) -> None:
        if self.fail and self.fail[0][0] == call:
            _, error = self.fail.pop(0)
            raise error(self)

    def reset(self) -> None:
        self._open.clear()
        self.resets += 1
        self._may_fail("reset")

    def begin(self, *, long: bool = False) -> None:
        assert not self._open, "the transaction before was not ended"
        self._may_fail("begin")

    def produce(self, output: Output, origin: Origin | None) -> None:
        self._may_fail("produce")
        self._open.append((output, origin))
        if output.value is not None and origin is not None:
            self._may_fail(f"produce {output.value.decode()}")

    def send_offsets(self, offsets: Mapping[TopicPartition, Position], group: object) -> None:
        raise AssertionError("a source has positions, no offsets")

    def delivered(self) -> Mapping[TopicPartition, Delivered]:
        return {}

    def commit(self) -> None:
        self._may_fail("commit")
        self.end()
        self._may_fail("committed")

    def end(self) -> None:
        self.committed += [output for output, _ in self._open]
        self._open.clear()

    def abort(self) -> None:
        self._may_fail("abort")
        self._open.clear()

    def clear(self, transactional_ids: Sequence[str]) -> Mapping[str, str]:
        raise AssertionError("a source has no neighbours")

    def close(self) -> None:
        self._open.clear()

    def origin_of(self, value: bytes) -> Origin:
        return next(o for out, o in self._open if out.value == value and o is not None)

    def positions(self) -> Mapping[bytes, bytes]:
        found: dict[bytes, bytes] = {b"other/n": b"99"}
        for output in self.committed:
            if output.topic == "cim.files.positions" and output.key and output.value:
                found[output.key] = output.value
        return found

    def inbound(self) -> list[bytes | None]:
        return [out.value for out in self.committed if out.topic != "cim.files.positions"]


class Numbers:
    """A source of the messages b"0", b"1" …; its position is the next number."""

    name = "numbers"

    def __init__(self, catalogue: Catalogue, end: int, stop: threading.Event) -> None:
        self._catalogue = catalogue
        self._end = end
        self._stop = stop
        self._next = -1
        self.opened: list[Mapping[bytes, bytes]] = []
        self.confirmed: list[bytes] = []
        self.fail: list[Exception] = []
        self.skipped: tuple[Skipped, ...] = ()
        self.asked: list[int] = []

    def check(self) -> None:
        return

    def open(self, positions: Mapping[bytes, bytes]) -> None:
        self.opened.append(positions)
        self._next = int(positions.get(b"n", b"0"))

    def poll(self, records_max: int, timeout_s: float) -> Batch | None:
        if self.fail:
            raise self.fail.pop(0)
        if self._next >= self._end:
            self._stop.set()
            return None
        self.asked.append(records_max)
        end = min(self._next + 2, self._next + records_max, self._end)
        values = [b"%d" % n for n in range(self._next, end)]
        self._next += len(values)
        records = tuple(
            Received(admit(value, "I7", self._catalogue, received_ms=0), value.decode())
            for value in values
        )
        return Batch(records, {b"n": b"%d" % self._next}, self.skipped)

    def committed(self, batch: Batch) -> tuple[Skipped, ...]:
        self.confirmed += [received.message.value for received in batch.records]
        return ()

    def close(self) -> None:
        return


class Rig:
    def __init__(self, catalogue: Catalogue) -> None:
        self.stop = threading.Event()
        self.log = Log()
        self.source = Numbers(catalogue, 5, self.stop)
        self.events: list[SourceEvent] = []
        self.waits: list[float] = []

    def emit(self, event: SourceEvent) -> None:
        self.events.append(event)

    def run(self) -> None:
        # The only waits of a run that has work are back-offs; they need not be waited out.
        wait = self.stop.wait
        self.stop.wait = lambda timeout=None: wait(0)  # type: ignore[method-assign]
        SourceRunner(self.source, self.log, self.log.positions, self, self.stop).run()


@pytest.fixture
def rig(catalogue: Catalogue) -> Rig:
    return Rig(catalogue)


ALL = [b"0", b"1", b"2", b"3", b"4"]


def test_every_message_is_committed_once_then_confirmed(rig: Rig) -> None:
    rig.run()
    assert rig.log.inbound() == ALL
    assert rig.source.confirmed == ALL
    assert rig.log.positions()[b"numbers/n"] == b"5"


def test_a_source_sees_its_own_positions_only_and_without_its_name(rig: Rig) -> None:
    rig.log.committed.append(Output("cim.files.positions", b"numbers/n", b"3"))
    rig.run()
    assert rig.source.opened == [{b"n": b"3"}]
    assert rig.log.inbound() == [b"3", b"4"]


def test_what_a_predecessor_committed_until_it_was_fenced_is_not_sent_again(rig: Rig) -> None:
    """Positions read before the fence would miss its last commit."""
    fence = rig.log.reset

    def reset() -> None:
        last = (Output("cim.i7.inbound", b"k", b"0"),
                Output("cim.files.positions", b"numbers/n", b"1"))  # fmt: skip
        rig.log.committed += last if not rig.log.resets else ()
        fence()

    rig.log.reset = reset  # type: ignore[method-assign]
    rig.run()
    assert rig.log.inbound() == ALL


@pytest.mark.parametrize("call", ["reset", "begin", "produce", "commit", "committed"])
@pytest.mark.parametrize("error", [TransientError, UnknownOutcomeError])
def test_after_a_failure_anywhere_each_message_is_there_once(
    rig: Rig, call: str, error: type[EngineError]
) -> None:
    """`committed`: the answer to a commit that took effect was lost."""
    rig.log.fail = [(call, lambda _: error("lost"))]
    rig.run()
    assert rig.log.inbound() == ALL
    assert rig.log.resets == 2, "the producer is thrown away after any failure"
    assert [e.code for e in rig.events if isinstance(e, SourceInterrupted)] == [error.code]


def test_what_was_not_confirmed_because_the_answer_was_lost_is_not_sent_again(rig: Rig) -> None:
    rig.log.fail = [("committed", lambda _: UnknownOutcomeError("lost"))]
    rig.run()
    assert rig.source.confirmed == ALL[2:]
    assert rig.source.opened[1] == {b"n": b"2"}


def test_a_refused_record_becomes_a_refusal_and_its_neighbours_pass(rig: Rig) -> None:
    rig.log.fail = [("commit", lambda log: RefusedError([log.origin_of(b"1")], "too large"))]
    rig.run()
    assert rig.log.inbound() == ALL
    topics = {out.value: out.topic for out in rig.log.committed if out.value in ALL}
    assert topics.pop(b"1") == "cim.i7.rejected"
    assert set(topics.values()) == {"cim.i7.inbound"}


def test_where_the_broker_names_neighbours_too_only_the_guilty_one_is_refused(rig: Rig) -> None:
    """The broker refuses a produce batch: first both records, then, taken singly, one of them."""
    rig.log.fail = [
        ("commit", lambda log: RefusedError(map(log.origin_of, (b"0", b"1")), "too large")),
        ("produce 1", lambda log: RefusedError([log.origin_of(b"1")], "too large")),
    ]
    rig.run()
    topics = {out.value: out.topic for out in rig.log.committed if out.value in ALL}
    assert topics.pop(b"1") == "cim.i7.rejected"
    assert set(topics.values()) == {"cim.i7.inbound"}
    assert rig.log.inbound() == ALL
    assert rig.source.asked[1:3] == [1, 1]
    assert min(rig.source.asked[3:]) > 1, "and then batches are whole again"


def test_a_refused_refusal_ends_the_process(rig: Rig) -> None:
    refuse = ("commit", lambda log: RefusedError([log.origin_of(b"1")], "too large"))
    rig.log.fail = [refuse, refuse]
    with pytest.raises(FatalError):
        rig.run()
    assert rig.log.inbound() == []


@pytest.mark.parametrize(
    "failures",
    [
        [("commit", lambda _: FencedError("taken"))],
        [("produce", lambda _: TransientError("lost")), ("abort", lambda _: FencedError("taken"))],
    ],
    ids=["at the commit", "while it writes, which only the abort can tell"],
)
def test_a_fenced_source_ends_and_has_no_effect(
    rig: Rig, failures: list[tuple[str, Callable[[Log], EngineError]]]
) -> None:
    rig.log.fail = failures
    with pytest.raises(FencedError):
        rig.run()
    assert rig.log.inbound() == []
    assert rig.source.confirmed == []


def shelf(*records: tuple[bytes | None, bytes | None]) -> OneLog:
    """The topic of positions with these."""
    at = TopicPartition(naming.FILE_POSITIONS, 0)
    return OneLog(
        at, [Record(*at, offset, 0, key, value, ()) for offset, (key, value) in enumerate(records)]
    )


def test_the_newest_position_counts_and_one_that_was_taken_back_is_forgotten() -> None:
    """Behind transactions that are open as well: they are waited for."""
    log = shelf((b"n/a", b"1"), (b"n/b", b"1"), (None, b"x"), (b"n/a", b"2"), (b"n/b", None))
    assert sources._fold(cast(TopicReader, log)) == {b"n/a": b"2"}
    assert log.asked == [False]


def test_a_peer_that_is_away_is_asked_again_from_the_committed_position(rig: Rig) -> None:
    rig.source.fail = [PeerUnavailableError("away"), PeerUnavailableError("away")]
    rig.run()
    assert rig.log.inbound() == ALL
    codes = [e.code for e in rig.events if isinstance(e, SourceInterrupted)]
    assert codes == ["peer_unavailable"] * 2


def test_back_off_grows_with_every_failure_in_a_row(rig: Rig) -> None:
    rig.source.fail = [PeerUnavailableError("away") for _ in range(9)]
    rig.run()
    retries = [e.retry_s for e in rig.events if isinstance(e, SourceInterrupted)]
    assert retries == sorted(retries)
    assert retries[0] < 1 <= retries[-1] <= 10


def test_a_failure_after_a_success_is_a_first_one_again(rig: Rig) -> None:
    plain = rig.source.committed
    rig.source.fail = [PeerUnavailableError("away"), PeerUnavailableError("away")]

    def committed(batch: Batch) -> tuple[Skipped, ...]:
        rig.source.fail += [PeerUnavailableError("away")]
        return plain(batch)

    rig.source.committed = committed  # type: ignore[method-assign]
    rig.run()
    first, second, *later = [e.retry_s for e in rig.events if isinstance(e, SourceInterrupted)]
    assert second > first
    assert set(later) == {first}


def test_what_was_skipped_and_what_was_committed_is_told(rig: Rig) -> None:
    rig.source.skipped = (Skipped("x", "is a link", "copy it"),)
    rig.run()
    assert SourceSkipped("numbers", "x", "is a link", "copy it") in rig.events
    told = [e for e in rig.events if isinstance(e, SourceCommitted)]
    assert [r.origin for e in told for r in e.records] == ["0", "1", "2", "3", "4"]


def test_a_batch_without_records_and_positions_opens_no_transaction(rig: Rig) -> None:
    plain = rig.source.poll

    def poll(records_max: int, timeout_s: float) -> Batch | None:
        batch = plain(records_max, timeout_s)
        return batch and replace(batch, records=(), positions={}, skipped=())

    rig.source.poll = poll  # type: ignore[method-assign]
    rig.log.fail = [("begin", lambda _: FatalError("a transaction was opened"))]
    rig.run()
    assert rig.log.committed == []


def test_a_source_told_to_stop_before_it_began_touches_nothing(rig: Rig) -> None:
    rig.stop.set()
    rig.run()
    assert rig.log.resets == 0


def test_the_log_tells_what_changed_and_is_silent_about_commits(
    caplog: pytest.LogCaptureFixture, rig: Rig
) -> None:
    logging.getLogger("cimstream").propagate = True
    rig.source.skipped = (Skipped("x", "is a link", "copy it"),)
    rig.source.fail = [PeerUnavailableError("away")]
    with caplog.at_level(logging.INFO, "cimstream"):
        rig.run()
        for event in rig.events:
            SourceLog().emit(event)
    said = [record.getMessage() for record in caplog.records]
    assert said[:3] == ["source opened", "source interrupted", "source opened"]
    assert set(said[3:]) == {"skipped"}
