"""What may be handed out to a destination that pulls, and whose claim counts."""

from __future__ import annotations

from streams.engine.record import TopicPartition
from streams.runtime.delivery.entry import Entry
from streams.runtime.delivery.receipts import Claim, Told
from streams.runtime.delivery.shelf import BYTES_MAX, Shelf
from streams.runtime.rejections import Place

AT = TopicPartition("cim.i4.outbound", 0)
NEVER_MS = 10**12


def put(shelf: Shelf, offset: int, subject: str, *, size: int = 10, fate: str = "") -> None:
    entry = Entry(
        Place(AT, offset), "CREW", "I4", "WorkOrders", "create", subject, f"m-{offset}", "", 0,
        NEVER_MS, size, fate=fate,
    )  # fmt: skip
    shelf.put(entry.key, entry.to_bytes())


def free(shelf: Shelf, now_ms: int = 0, count: int = 100) -> list[int]:
    return [entry.place.offset for entry in shelf.free("CREW", count, now_ms)]


def claim(
    shelf: Shelf, token: str, *offsets: int, until_ms: int = 100, at_ms: int = 0
) -> list[int]:
    places = tuple(str(Place(AT, offset)) for offset in offsets)
    got = shelf.hear(Claim("CREW", token, until_ms, places), at_ms)
    return [place.offset for place in got]


def told(shelf: Shelf, offset: int, destination: str = "CREW") -> None:
    shelf.hear(Told(destination, "delivered", place=str(Place(AT, offset))), 0)


def shelf_with(*subjects: str) -> Shelf:
    shelf = Shelf({"CREW"})
    for offset, subject in enumerate(subjects):
        put(shelf, offset, subject)
    return shelf


def test_of_one_object_only_the_oldest_may_be_handed_out() -> None:
    shelf = shelf_with("a", "b", "a", "", "c")
    assert free(shelf) == [0, 1]
    told(shelf, 0)
    assert free(shelf) == [1, 2]
    told(shelf, 1)
    told(shelf, 2)
    assert free(shelf) == [3]
    told(shelf, 3)
    assert free(shelf) == [4]


def test_of_two_claims_the_first_in_the_log_counts_until_it_lapses() -> None:
    shelf = shelf_with("a", "b")
    assert claim(shelf, "one", 0) == [0]
    assert claim(shelf, "two", 0, 1, at_ms=99) == [1]
    assert free(shelf, 99) == []
    assert free(shelf, 100) == [0, 1]
    assert claim(shelf, "three", 0, at_ms=100, until_ms=200) == [0]


def test_what_was_acknowledged_or_is_over_is_not_handed_out_again() -> None:
    shelf = shelf_with("a", "b", "c")
    told(shelf, 0)
    assert claim(shelf, "late", 0) == []
    shelf.put(str(Place(AT, 1)).encode(), None)
    put(shelf, 2, "c", fate="delivery_expired")
    assert free(shelf) == []


def test_nobody_acknowledges_what_is_for_another() -> None:
    shelf = shelf_with("a")
    told(shelf, 0, "OTHER")
    assert free(shelf) == [0]


def test_no_more_is_handed_out_than_is_asked_for_and_fits() -> None:
    shelf = shelf_with("a", "b", "c")
    assert free(shelf, count=2) == [0, 1]
    large = Shelf({"CREW"})
    for offset in range(3):
        put(large, offset, str(offset), size=BYTES_MAX // 2 + 1)
    assert free(large) == [0]


def test_an_expired_message_is_not_handed_out() -> None:
    assert free(shelf_with("a"), NEVER_MS) == []


def test_what_a_compacted_log_has_in_another_order_is_put_in_order() -> None:
    shelf = Shelf({"CREW"})
    for offset in (3, 1, 2):
        put(shelf, offset, "a")
    shelf.settle()
    assert free(shelf) == [1]


def test_what_is_for_others_or_none_of_ours_is_passed_over() -> None:
    shelf = Shelf({"OTHER"})
    put(shelf, 0, "a")
    shelf.put(b"nonsense", b"x")
    assert shelf.free("OTHER", 1, 0) == []
    assert shelf.find("CREW", Place(AT, 0)) is None
