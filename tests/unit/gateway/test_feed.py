"""The window on the end of a log: who can read from it, and that nothing is missed or twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.subscriptions import Event, Position
from streams.runtime.gateway.feed import Feed


def event(partition: int, offset: int, size: int = 1) -> Event:
    return Event("t", partition, offset, 0, b"", {}, b"x" * size)


def at(*offsets: int) -> Position:
    return Position("log", offsets)


def test_who_comes_from_behind_the_window_reads_for_himself() -> None:
    feed = Feed(at(10, 5))
    assert feed.read(at(9, 5), None) is None
    assert feed.read(at(10, 4), None) is None
    assert feed.read(at(10, 5), None) is not None


def test_who_falls_behind_the_window_reads_for_himself() -> None:
    feed = Feed(at(0), events_max=2)
    feed.arrived([event(0, 0), event(0, 1), event(0, 2)], {0: 3})
    assert feed.read(at(0), None) is None
    assert feed.read(at(0), 0) is None
    assert feed.read(at(1), None) is not None


def test_the_window_is_bounded_in_bytes_but_holds_one_event_of_any_size() -> None:
    feed = Feed(at(0), bytes_max=100)
    feed.arrived([event(0, n, 40) for n in range(5)], {0: 5})
    assert feed.read(at(2), None) is None
    assert feed.read(at(3), None) is not None
    feed.arrived([event(0, 5, 1_000)], {0: 6})
    assert feed.read(at(4), None) is None
    found = feed.read(at(5), None)
    assert found is not None
    assert [one.offset for one in found[0].events] == [5]


def test_at_the_end_the_marks_of_transactions_are_passed() -> None:
    feed = Feed(at(0))
    feed.arrived([event(0, 0)], {0: 2})  # a mark lies at 1
    found = feed.read(at(0), None)
    assert found is not None
    assert found[0].position == at(2)
    feed.arrived([], {0: 3})
    again = feed.read(found[0].position, found[1])
    assert again is not None
    assert (again[0].events, again[0].position) == ([], at(3))


@given(st.data())
def test_every_reader_gets_every_event_once_in_the_order_of_its_partition(
    data: st.DataObject,
) -> None:
    """Readers of any speed; who cannot read here reads one event of the log for himself."""
    log: list[list[Event]] = [[], []]
    feed = Feed(at(0, 0), events_max=data.draw(st.integers(1, 5)))
    readers: list[tuple[Position, int | None, list[Event]]] = [
        (at(0, 0), None, []), (at(0, 0), None, []),
    ]  # fmt: skip

    def step(which: int) -> bool:
        position, place, got = readers[which]
        found = feed.read(position, place)
        if found is None:
            behind = [
                one for part in log for one in part if one.offset >= position.offsets[one.partition]
            ]
            got.append(behind[0])
            readers[which] = (position.behind(behind[0]), None, got)
            return True
        batch, place = found
        got.extend(batch.events)
        readers[which] = (batch.position, place, got)
        return bool(batch.events)

    for _ in range(data.draw(st.integers(0, 20))):
        if data.draw(st.booleans()):
            partition = data.draw(st.integers(0, 1))
            offset = log[partition][-1].offset + 1 if log[partition] else 0
            offset += data.draw(st.integers(0, 1))  # a mark in between
            log[partition].append(event(partition, offset))
            feed.arrived([log[partition][-1]], {partition: offset + 1})
        else:
            step(data.draw(st.integers(0, 1)))
    for which in range(2):
        while step(which):
            pass
        for partition in range(2):
            got = [one for one in readers[which][2] if one.partition == partition]
            assert got == log[partition]
