"""Which delivery may be tried, and which has to wait."""

from __future__ import annotations

import pytest

from connectors.destinations import Destination
from streams.engine.record import TopicPartition
from streams.runtime.delivery.entry import Entry
from streams.runtime.delivery.table import Table
from streams.runtime.rejections import Place

AT = TopicPartition("cim.i4.outbound", 0)
NEVER_MS = 10**12


def destination(**said: object) -> Destination:
    return Destination.model_validate({"kind": "rest", "url": "http://crew", **said})


def entry(
    offset: int,
    subject: str = "",
    *,
    to: str = "CREW",
    noun: str = "WorkOrders",
    expires_ms: int = NEVER_MS,
    message_id: str = "",
    at: TopicPartition = AT,
) -> Entry:
    return Entry(
        Place(at, offset), to, "I4", noun, "create", subject, message_id, "", 0, expires_ms
    )


def taken(table: Table, now_ms: int = 0) -> list[int]:
    return [one.place.offset for one in table.take(now_ms)]


def end(table: Table, offset: int) -> None:
    table.remove(Place(AT, offset))


def fail(table: Table, one: Entry, now_ms: int, after_s: float = 0) -> None:
    """What the book does with an outcome that is a failure."""
    one.attempts += 1
    table.failed(one.destination, now_ms, after_s)
    table.back(one.place, now_ms, after_s)


@pytest.fixture
def table() -> Table:
    return Table({"CREW": destination(), "OTHER": destination(), "SLOW": destination()})


def test_messages_about_one_object_go_one_after_the_other_and_others_beside_them(
    table: Table,
) -> None:
    for offset, subject in enumerate(("a", "b", "a", "a")):
        table.add(entry(offset, subject))
    assert taken(table) == [0, 1]
    end(table, 0)
    assert taken(table) == [2]
    end(table, 1)
    assert taken(table) == []
    end(table, 2)
    assert taken(table) == [3]


def test_a_message_about_several_objects_waits_for_all_before_it_and_holds_all_behind_it(
    table: Table,
) -> None:
    for offset, subject in enumerate(("a", "b", "", "a", "c")):
        table.add(entry(offset, subject))
    assert taken(table) == [0, 1]
    end(table, 0)
    assert taken(table) == []
    end(table, 1)
    assert taken(table) == [2]
    end(table, 2)
    assert taken(table) == [3, 4]


def test_two_messages_about_several_objects_go_one_after_the_other(table: Table) -> None:
    for offset in range(3):
        table.add(entry(offset))
    assert taken(table) == [0]
    end(table, 0)
    assert taken(table) == [1]


def test_nouns_and_destinations_do_not_wait_for_each_other(table: Table) -> None:
    table.add(entry(0, "a"))
    table.add(entry(1, "a", noun="SwitchingOrders"))
    table.add(entry(2, "a", to="OTHER"))
    assert sorted(taken(table)) == [0, 1, 2]


def test_no_more_are_tried_at_once_than_the_destination_takes() -> None:
    table = Table({"CREW": destination(in_flight_max=2)})
    for offset in range(4):
        table.add(entry(offset, str(offset)))
    assert taken(table) == [0, 1]
    end(table, 0)
    assert taken(table) == [2]


def test_behind_a_failure_a_message_waits_twice_as_long_each_time_up_to_the_most() -> None:
    table = Table({"CREW": destination(retry_first_s=1, retry_max_s=3)})
    one = entry(0, "a")
    table.add(one)
    now_ms, waits = 0, []
    for _ in range(4):
        assert taken(table, now_ms) == [0]
        fail(table, one, now_ms)
        waits.append(one.due_ms - now_ms)
        assert taken(table, one.due_ms - 1) == []
        now_ms = one.due_ms
    base_ms = [1_000, 2_000, 3_000, 3_000]
    assert all(base <= wait <= 1.2 * base for base, wait in zip(base_ms, waits, strict=True))


def test_what_a_destination_asks_for_is_waited_even_if_it_is_longer(table: Table) -> None:
    table.add(one := entry(0, "a"))
    taken(table)
    fail(table, one, 0, after_s=30)
    assert taken(table, 29_999) == []
    assert taken(table, 30_000) == [0]


def test_a_destination_that_fails_is_asked_by_one_message_until_it_answers(table: Table) -> None:
    entries = [entry(offset, str(offset)) for offset in range(4)]
    for one in entries:
        table.add(one)
    assert len(taken(table)) == 4
    for one in entries:
        fail(table, one, 0)
    assert table.failures("CREW") == 1
    assert taken(table, 999) == []
    (probe,) = taken(table, 5_000)
    assert taken(table, 5_000) == []
    table.answered("CREW")
    end(table, probe)
    assert len(taken(table, 5_000)) == 3


def test_a_dead_destination_does_not_hold_back_another(table: Table) -> None:
    dead = entry(0, "a", to="SLOW")
    table.add(dead)
    assert taken(table) == [0]
    fail(table, dead, 0)
    table.add(entry(1, "a"))
    assert taken(table) == [1]


def test_a_message_whose_receipt_is_awaited_is_not_sent_again_and_holds_the_next(
    table: Table,
) -> None:
    table.add(first := entry(0, "a"))
    table.add(entry(1, "a"))
    assert taken(table) == [0]
    first.taken = True
    table.back(first.place, None)
    assert taken(table, NEVER_MS - 1) == []
    end(table, 0)
    assert taken(table) == [1]


def test_what_expires_is_given_out_once_it_is_over_but_not_while_it_is_tried(
    table: Table,
) -> None:
    table.add(tried := entry(0, "a", expires_ms=100))
    table.add(behind := entry(1, "a", expires_ms=50))
    assert taken(table) == [0]
    assert list(table.expired(49)) == []
    assert list(table.expired(200)) == [behind]
    table.decide(behind.place)
    assert list(table.expired(200)) == []
    table.back(tried.place, 200)
    assert list(table.expired(200)) == [tried]


def test_what_expires_without_a_destination_in_the_file_is_found_too(table: Table) -> None:
    table.add(gone := entry(0, "a", to="NOBODY", expires_ms=100))
    assert taken(table) == []
    assert list(table.expired(100)) == [gone]
    table.remove(gone.place)
    assert len(table) == 0


def test_who_pulls_is_never_called() -> None:
    table = Table({"CREW": Destination.model_validate({"kind": "pull"})})
    table.add(entry(0, "a"))
    table.add(entry(1, "a"))
    assert taken(table) == []
    end(table, 0)
    assert taken(table) == []


def test_a_delivery_is_found_by_the_ids_of_its_message(table: Table) -> None:
    table.add(one := entry(0, "a", message_id="m-1"))
    assert table.named("CREW", "m-1") is one
    assert table.named("OTHER", "m-1") is None
    end(table, 0)
    assert table.named("CREW", "m-1") is None


def test_partitions_that_are_given_away_take_their_deliveries_with_them(table: Table) -> None:
    other = TopicPartition("cim.i7.outbound", 1)
    table.add(entry(0, "a"))
    table.add(entry(1, "a", at=other))
    assert [one.place.at for one in table.take(0)] == [AT]
    assert [one.place.at for one in table.out({AT})] == [AT]
    table.release({AT})
    assert [one.place.at for one in table.take(0)] == [other]
    assert len(table) == 1


def test_what_waits_is_counted_with_the_age_of_the_oldest(table: Table) -> None:
    table.add(first := entry(0, "a"))
    first.since_ms = 7
    table.add(second := entry(1, "b"))
    second.since_ms = 9
    counted = table.counted()
    assert counted["CREW"] == (2, 7)
    assert counted["OTHER"] == (0, 0)


def test_it_is_full_at_the_number_that_may_wait() -> None:
    table = Table({"CREW": destination(pending_max=2)})
    table.add(entry(0, "a"))
    assert not table.full("CREW")
    table.add(entry(1, "b"))
    assert table.full("CREW")


def test_expiries_of_what_is_over_do_not_pile_up(table: Table) -> None:
    for offset in range(5_000):
        table.add(entry(offset, "a"))
        end(table, offset)
    assert len(table._expiries) <= 1_002
