"""The checker of histories names what is wrong, all of it, and nothing else.

A checker that finds nothing proves nothing until it was seen to find. So each anomaly is
planted here by hand, then drawn; and good histories, drawn too, must give no word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from streams.engine.record import TopicPartition
from tests.chaos.history import (
    Event,
    EventId,
    History,
    Kind,
    Poll,
    Position,
    Reader,
    Seen,
    Sent,
    Snapshot,
    check,
)

LOG = "cim.i7.meter-readings"
SOURCE = "HES-1"
INBOUND = [TopicPartition("cim.i7.inbound", number) for number in range(3)]
LOGS = [TopicPartition(LOG, number) for number in range(2)]
KEYS = [b"meter-0", b"meter-1", b"meter-2", b"meter-3"]


def events(name: str, *keys: bytes) -> tuple[Event, ...]:
    """The events of a message, one per key."""
    return tuple(
        Event(EventId(LOG, SOURCE, f"{name}#{index}"), key) for index, key in enumerate(keys)
    )


def home(key: bytes) -> TopicPartition:
    """The partition of a key: even meters here, odd ones there."""
    return LOGS[KEYS.index(key) % len(LOGS)]


@dataclass
class World:
    """A run that can be spoilt before it is looked at.

    `committed` and `aborted` are the logs' records by offset. Whoever looks at it sees the
    same logs, so that a spoilt log is one anomaly and not also a difference between readers.
    """

    sent: list[Sent] = field(default_factory=list)
    committed: dict[TopicPartition, dict[int, Seen]] = field(
        default_factory=lambda: {at: {} for at in LOGS}
    )
    aborted: dict[TopicPartition, dict[int, Seen]] = field(
        default_factory=lambda: {at: {} for at in LOGS}
    )
    processed: dict[TopicPartition, int] = field(default_factory=dict)
    during: list[Snapshot] = field(default_factory=list)
    ends: dict[TopicPartition, int] = field(default_factory=lambda: dict.fromkeys(LOGS, 0))
    poll_size: int = 2

    def write(self, event: Event, *, committed: bool = True) -> None:
        """Append an event to its log."""
        at = home(event.key)
        logs = self.committed if committed else self.aborted
        logs[at][self.ends[at]] = seen(self.ends[at], event)
        self.ends[at] += 1

    def mark(self) -> None:
        """Append the marker that ends a transaction, to each log."""
        for at in LOGS:
            self.ends[at] += 1

    def look(self) -> Snapshot:
        """A snapshot now."""
        logs = {at: tuple(records.values()) for at, records in self.committed.items()}
        return Snapshot(f"snapshot {len(self.during)}", dict(self.processed), logs)

    def history(self) -> History:
        """What a reader, the snapshots and the final reads saw of it."""
        polls = [
            Poll(number, at, tuple(records[start : start + self.poll_size]))
            for at in LOGS
            for records in [sorted(self.committed[at].values())]
            for number, start in enumerate(range(0, len(records), self.poll_size))
        ]
        return History(
            tuple(self.sent),
            (Reader("observer", dict.fromkeys(LOGS, 0), tuple(polls), dict(self.ends)),),
            replace(self.look(), name="the final read"),
            {at: tuple(sorted((self.committed[at] | self.aborted[at]).values())) for at in LOGS},
            tuple(self.during),
        )


def seen(offset: int, event: Event, digest: str = "") -> Seen:
    """The record of an event."""
    return Seen(offset, event.id.source, event.id.id, event.key, digest or event.id.id)


def named(history: History) -> list[tuple[Kind, str]]:
    """Kind and place of each anomaly."""
    return [(anomaly.kind, anomaly.place) for anomaly in check(history)]


A, B, C, D = (
    events("a", KEYS[0], KEYS[1]),
    events("b", KEYS[0]),
    events("c", KEYS[0], KEYS[0]),
    events("d", KEYS[2]),
)


def small_world() -> World:
    """Four messages, a repeat, one without effect, an aborted attempt; all of it right.

    LOGS[0] is a#0@0, marker, b#0 aborted @2, marker, b#0@4, c#0@5, c#1@6, d#0@7, marker;
    LOGS[1] is a#1@0 and markers.
    """
    world = World(processed={INBOUND[0]: 7, INBOUND[1]: 2})
    world.sent = [
        Sent("a", A, Position(INBOUND[0], 0)),
        Sent("b", B, Position(INBOUND[0], 3)),
        Sent("rejected", (), Position(INBOUND[0], 4)),
        Sent("a", A, Position(INBOUND[0], 5)),
        Sent("c", C, Position(INBOUND[0], 6)),
        Sent("d", D, Position(INBOUND[1], 1)),
        Sent("never acknowledged", events("n", KEYS[3]), None),
    ]
    for event in A:
        world.write(event)
    world.mark()
    world.write(B[0], committed=False)
    world.mark()
    for event in (*B, *C, *D):
        world.write(event)
    world.mark()
    return world


def test_a_good_history_gives_no_anomaly() -> None:
    assert check(small_world().history()) == []


# --- planted in the logs ------------------------------------------------------------------------


def drop_b(world: World) -> None:
    del world.committed[LOGS[0]][4]


def drop_half_of_a(world: World) -> None:
    del world.committed[LOGS[1]][0]


def write_d_twice(world: World) -> None:
    world.write(D[0])


def write_what_nobody_sent(world: World) -> None:
    world.write(events("stranger", KEYS[1])[0])


def write_under_another_key(world: World) -> None:
    world.committed[LOGS[0]][7] = seen(7, Event(D[0].id, KEYS[0]))


def swap_b_and_c(world: World) -> None:
    log = world.committed[LOGS[0]]
    log[4], log[5] = seen(4, C[0]), seen(5, B[0])


def swap_within_c(world: World) -> None:
    log = world.committed[LOGS[0]]
    log[5], log[6] = seen(5, C[1]), seen(6, C[0])


def write_a_message_backwards(world: World) -> None:
    two_keys = events("e", KEYS[0], KEYS[2])
    world.sent.append(Sent("e", two_keys, Position(INBOUND[0], 6)))
    for event in reversed(two_keys):
        world.write(event)


def show_half_of_a_message_that_was_never_acknowledged(world: World) -> None:
    world.sent.append(Sent("half", events("h", KEYS[0], KEYS[1]), None))
    world.write(events("h", KEYS[0])[0])


@pytest.mark.parametrize(
    ("spoil", "kind", "place"),
    [
        (drop_b, Kind.LOST, "cim.i7.inbound/0@3"),
        (drop_half_of_a, Kind.TORN, "cim.i7.inbound/0@0"),
        (show_half_of_a_message_that_was_never_acknowledged, Kind.TORN, "half"),
        (write_d_twice, Kind.DUPLICATED, f"{LOG}/0@9"),
        (write_what_nobody_sent, Kind.UNEXPECTED, f"{LOG}/1@4"),
        (write_under_another_key, Kind.UNEXPECTED, f"{LOG}/0@7"),
        (swap_b_and_c, Kind.REORDERED, f"{LOG}/0@5"),
        (swap_within_c, Kind.REORDERED, f"{LOG}/0@6"),
        (write_a_message_backwards, Kind.REORDERED, f"{LOG}/0@10"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_anomaly_planted_in_the_log_is_named_with_its_place_and_nothing_else(
    spoil: Callable[[World], None], kind: Kind, place: str
) -> None:
    world = small_world()
    spoil(world)

    assert named(world.history()) == [(kind, place)]


def test_a_lost_message_is_said_to_be_aborted_or_never_written() -> None:
    world = small_world()
    drop_b(world)
    assert f"written at {LOG}/0@2, not committed" in check(world.history())[0].sentence

    world.aborted[LOGS[0]].clear()
    assert "never written" in check(world.history())[0].sentence


# --- planted in what a reader saw ---------------------------------------------------------------


def polls(*seen_of_log_0: Seen) -> History:
    """The small world as a reader saw it that polled one record at a time of the first log."""
    history = small_world().history()
    (reader,) = history.readers
    others = [poll for poll in reader.polls if poll.partition == LOGS[1]]
    mine = [Poll(number, LOGS[0], (record,)) for number, record in enumerate(seen_of_log_0)]
    return replace(history, readers=(replace(reader, polls=(*others, *mine)),))


@pytest.fixture
def log_0() -> list[Seen]:
    """What there is to see of the first log."""
    return sorted(small_world().committed[LOGS[0]].values())


def test_a_reader_that_saw_all_in_order_is_right(log_0: list[Seen]) -> None:
    assert check(polls(*log_0)) == []


def test_an_aborted_record_that_a_reader_saw_is_named(log_0: list[Seen]) -> None:
    history = polls(log_0[0], seen(2, B[0]), *log_0[1:])

    (anomaly,) = check(history)
    assert (anomaly.kind, anomaly.place) == (Kind.ABORTED_READ, f"{LOG}/0@2")
    assert "observer, poll 1," in anomaly.sentence
    assert "never committed" in anomaly.sentence


def test_a_record_that_is_another_in_the_end_is_an_aborted_read(log_0: list[Seen]) -> None:
    history = polls(log_0[0]._replace(digest="other bytes"), *log_0[1:])

    assert named(history) == [(Kind.ABORTED_READ, f"{LOG}/0@0")]


def test_a_committed_read_that_an_uncommitted_one_does_not_know_is_named() -> None:
    history = small_world().history()
    uncommitted = {**history.uncommitted, LOGS[1]: ()}

    assert named(replace(history, uncommitted=uncommitted)) == [(Kind.ABORTED_READ, f"{LOG}/1@0")]


@pytest.mark.parametrize(
    ("order", "place"),
    [
        ([0, 1, 0, 1, 2, 3, 4], f"{LOG}/0@0"),  # back
        ([0, 0, 1, 2, 3, 4], f"{LOG}/0@0"),  # the same again
        ([0, 2, 3, 4], f"{LOG}/0@4"),  # one skipped in the middle
        ([1, 2, 3, 4], f"{LOG}/0@0"),  # the first skipped
        ([0, 1, 2, 3], f"{LOG}/0@7"),  # the last skipped
    ],
)
def test_a_reader_that_goes_back_or_skips_is_named(
    log_0: list[Seen], order: list[int], place: str
) -> None:
    history = polls(*(log_0[number] for number in order))

    assert named(history) == [(Kind.NON_MONOTONIC, place)]


def test_a_swap_of_two_polls_is_a_skip_and_a_step_back(log_0: list[Seen]) -> None:
    history = polls(log_0[1], log_0[0], *log_0[2:])

    assert (Kind.NON_MONOTONIC, f"{LOG}/0@0") in named(history)


# --- planted in a snapshot before the end -------------------------------------------------------


def with_snapshot(processed: dict[TopicPartition, int], *offsets: int) -> History:
    """The small world, of which a snapshot on the way had these offsets of the first log."""
    world = small_world()
    log = {LOGS[0]: tuple(world.committed[LOGS[0]][offset] for offset in offsets)}
    world.during = [Snapshot("snapshot 0", processed, {**world.look().logs, **log})]
    return world.history()


def test_a_snapshot_needs_to_have_only_what_was_processed_before_it() -> None:
    assert check(with_snapshot({INBOUND[0]: 3}, 0)) == []
    assert check(with_snapshot({INBOUND[0]: 4}, 0, 4)) == []


def test_a_message_on_its_way_may_be_seen_in_part() -> None:
    assert check(with_snapshot({INBOUND[0]: 4}, 0, 4, 5)) == []


def test_what_was_processed_and_is_missing_in_a_snapshot_is_lost() -> None:
    assert named(with_snapshot({INBOUND[0]: 4}, 0)) == [(Kind.LOST, "cim.i7.inbound/0@3")]


def test_what_was_processed_and_is_there_in_part_in_a_snapshot_is_torn() -> None:
    history = with_snapshot({INBOUND[0]: 7}, 0, 4, 5)

    assert named(history) == [(Kind.TORN, "cim.i7.inbound/0@6")]


# --- what is legitimate -------------------------------------------------------------------------


def test_a_message_without_acknowledgement_may_take_effect_as_a_whole() -> None:
    world = small_world()
    world.write(events("n", KEYS[3])[0])

    assert check(world.history()) == []


def test_a_message_that_is_not_yet_processed_may_be_missing() -> None:
    world = small_world()
    world.sent.append(Sent("late", events("late", KEYS[1]), Position(INBOUND[0], 7)))

    assert check(world.history()) == []


def test_a_correction_after_a_rejection_counts_from_its_own_place() -> None:
    """The rejected one lies before b, its correction behind: so does the effect."""
    world = small_world()
    correction = events("e", KEYS[0])
    world.sent.insert(1, Sent("e", (), Position(INBOUND[0], 1)))
    world.sent.append(Sent("e", correction, Position(INBOUND[0], 9)))
    world.write(correction[0])

    assert check(world.history()) == []


def test_there_is_no_order_between_inbound_partitions() -> None:
    world = small_world()
    log = world.committed[LOGS[0]]
    log[4], log[7] = seen(4, D[0]), seen(7, B[0])
    world.sent[4] = Sent("c", C, Position(INBOUND[2], 0))

    assert check(world.history()) == []


def test_a_sending_without_acknowledgement_may_be_the_first_so_it_has_no_known_order() -> None:
    world = small_world()
    world.sent.insert(0, Sent("c", C, None))
    log = world.committed[LOGS[0]]
    log[4], log[5], log[6] = seen(4, C[0]), seen(5, C[1]), seen(6, B[0])

    assert check(world.history()) == []


def test_a_history_that_contradicts_itself_is_refused() -> None:
    world = small_world()
    world.sent.append(Sent("a", B, Position(INBOUND[0], 9)))
    with pytest.raises(ValueError, match="two sets of events"):
        check(world.history())

    world.sent[-1] = Sent("x", B, Position(INBOUND[0], 9))
    with pytest.raises(ValueError, match="is of x and of b"):
        check(world.history())


# --- drawn --------------------------------------------------------------------------------------


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A good run: messages, repeats, rejections, doubtful sendings, aborts, snapshots."""
    world = World(poll_size=draw(st.integers(1, 4)))
    ends = dict.fromkeys(INBOUND, 0)

    def position(at: TopicPartition) -> Position:
        ends[at] += draw(st.integers(1, 2))  # others write there too
        return Position(at, ends[at] - 1)

    for number in range(draw(st.integers(1, 8))):
        given_events = events(f"m{number}", *draw(st.lists(st.sampled_from(KEYS), max_size=3)))
        at = draw(st.sampled_from(INBOUND))
        doubtful = draw(st.integers(0, 5)) == 0
        world.sent.append(Sent(f"m{number}", given_events, None if doubtful else position(at)))
        if draw(st.booleans()):  # a first attempt is aborted
            for event in given_events:
                world.write(event, committed=False)
            world.mark()
        if not doubtful or draw(st.booleans()):
            for event in given_events:
                world.write(event)
        if draw(st.booleans()):
            world.mark()
        if not doubtful and draw(st.booleans()):
            world.sent.append(Sent(f"m{number}", given_events, position(at)))
        world.processed = dict(ends)
        if draw(st.integers(0, 3)) == 0:
            world.during.append(world.look())
    return world


@given(worlds())
def test_no_good_history_gives_an_anomaly(world: World) -> None:
    assert check(world.history()) == []


def known(world: World) -> list[Sent]:
    """Acknowledged messages that gave events."""
    return [sending for sending in world.sent if sending.events and sending.position]


def where(world: World, event: Event) -> tuple[dict[int, Seen], int]:
    """The log of an event and its offset there."""
    log = world.committed[home(event.key)]
    (offset,) = (offset for offset, record in log.items() if record.id == event.id.id)
    return log, offset


@given(worlds(), st.data())
def test_a_dropped_message_is_named(world: World, data: st.DataObject) -> None:
    assume(known(world))
    victim = data.draw(st.sampled_from(known(world)))
    world.during.clear()
    for event in victim.events:
        log, offset = where(world, event)
        del log[offset]

    assert [kind for kind, _ in named(world.history())] == [Kind.LOST]


@given(worlds(), st.data())
def test_a_torn_message_is_named(world: World, data: st.DataObject) -> None:
    several = [sending for sending in world.sent if len(sending.events) > 1]
    several = [s for s in several if s.position or _visible(world, s)]
    assume(several)
    victim = data.draw(st.sampled_from(several))
    kept = data.draw(st.integers(1, len(victim.events) - 1))
    world.during.clear()
    for event in data.draw(st.permutations(victim.events))[kept:]:
        log, offset = where(world, event)
        del log[offset]

    assert [kind for kind, _ in named(world.history())] == [Kind.TORN]


def _visible(world: World, sending: Sent) -> bool:
    ids = {record.id for log in world.committed.values() for record in log.values()}
    return sending.events[0].id.id in ids


@given(worlds(), st.data())
def test_a_doubled_event_is_named(world: World, data: st.DataObject) -> None:
    assume(known(world))
    victim = data.draw(st.sampled_from(known(world)))
    world.write(data.draw(st.sampled_from(victim.events)))

    assert [kind for kind, _ in named(world.history())] == [Kind.DUPLICATED]


@given(worlds(), st.data())
def test_swapped_events_of_a_key_are_named(world: World, data: st.DataObject) -> None:
    ordered = [
        (event, sending.position.partition)
        for sending in _firsts(world)
        for event in sending.events
        if sending.position
    ]
    pairs = [
        (one, other)
        for number, (one, at) in enumerate(ordered)
        for other, elsewhere in ordered[number + 1 :]
        if one.key == other.key and at == elsewhere
    ]
    assume(pairs)
    one, other = data.draw(st.sampled_from(pairs))
    world.during.clear()
    log, first = where(world, one)
    _, second = where(world, other)
    log[first], log[second] = seen(first, other), seen(second, one)

    assert {kind for kind, _ in named(world.history())} == {Kind.REORDERED}


def _firsts(world: World) -> list[Sent]:
    return list({sending.identity: sending for sending in reversed(world.sent)}.values())[::-1]


@given(worlds(), st.data())
def test_an_aborted_record_in_a_poll_is_named(world: World, data: st.DataObject) -> None:
    aborted = [(at, record) for at, log in world.aborted.items() for record in log.values()]
    assume(aborted)
    at, record = data.draw(st.sampled_from(aborted))
    history = world.history()
    (reader,) = history.readers
    there = [r for poll in reader.polls if poll.partition == at for r in poll.seen]
    poll = Poll(0, at, tuple(sorted((*there, record))))
    others = tuple(poll for poll in reader.polls if poll.partition != at)
    history = replace(history, readers=(replace(reader, polls=(*others, poll)),))

    assert named(history) == [(Kind.ABORTED_READ, str(Position(at, record.offset)))]


@given(worlds(), st.data())
def test_a_record_that_a_poll_dropped_or_gave_twice_is_named(
    world: World, data: st.DataObject
) -> None:
    history = world.history()
    (reader,) = history.readers
    assume(reader.polls)
    number = data.draw(st.integers(0, len(reader.polls) - 1))
    poll = reader.polls[number]
    changed = poll.seen[:-1] if data.draw(st.booleans()) else (*poll.seen, poll.seen[-1])
    spoilt = (*reader.polls[:number], poll._replace(seen=changed), *reader.polls[number + 1 :])
    history = replace(history, readers=(replace(reader, polls=spoilt),))

    place = str(Position(poll.partition, poll.seen[-1].offset))
    assert named(history) == [(Kind.NON_MONOTONIC, place)]
