"""Slots: no number twice on one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.runtime import slots
from streams.runtime.slots import SlotLock
from topics.errors import OperatorError

Claim = Callable[[Path, int, int | None], list[SlotLock]]


@pytest.fixture
def claim() -> Iterator[Claim]:
    """`slots.claim`, whatever is held at the end let go."""
    held: list[SlotLock] = []

    def claiming(folder: Path, count: int, first: int | None) -> list[SlotLock]:
        claimed = slots.claim(folder, count, first)
        held.extend(claimed)
        return claimed

    yield claiming
    for slot in held:
        slot.close()


def test_the_lowest_free_slots_are_taken(tmp_path: Path, claim: Claim) -> None:
    held = claim(tmp_path, 2, None)

    more = claim(tmp_path, 1, None)

    assert [slot.number for slot in held + more] == [0, 1, 2]


def test_a_slot_that_was_let_go_is_free_again(tmp_path: Path, claim: Claim) -> None:
    (first,) = claim(tmp_path, 1, None)
    first.close()

    assert [slot.number for slot in claim(tmp_path, 1, None)] == [0]


def test_a_wanted_slot_that_is_held_is_refused_and_nothing_is_kept(
    tmp_path: Path, claim: Claim
) -> None:
    held = claim(tmp_path, 1, 1)

    with pytest.raises(OperatorError) as caught:
        claim(tmp_path, 2, 0)

    assert caught.value.code == "slot_taken"
    assert [slot.number for slot in claim(tmp_path, 1, 0)] == [0]
    assert held[0].number == 1


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path, claim: Claim) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OperatorError) as caught:
        claim(tmp_path / "file" / "state", 1, None)

    assert caught.value.code == "state_folder"
