"""What stands beside a committed offset, and what strangers may write there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.note import LogEnd, Note, owned

LOGS = st.dictionaries(
    st.text(max_size=20),
    st.builds(
        LogEnd,
        st.text(max_size=30),
        st.integers(0, 2**62),
        st.integers(-1, 2**62),
    ),
    max_size=5,
)


NOTES = st.builds(
    Note,
    by=st.text(max_size=30),
    logs=LOGS,
    loss_accepted=st.booleans(),
    begun=st.booleans(),
)


@given(note=NOTES)
def test_a_note_is_read_as_it_was_written(note: Note) -> None:
    assert Note.from_text(note.to_text()) == note


@pytest.mark.parametrize(
    "text",
    ["", "null", "1", "{}", "[]", '{"v":2,"by":"x","logs":{}}', '{"v":1,"by":"x","logs":{"a":[1]}}',
     '{"v":1,"by":"x","logs":[]}', "not JSON", '{"v":1}'],
)  # fmt: skip
def test_what_another_tool_left_there_is_no_note(text: str) -> None:
    assert Note.from_text(text) == Note()


def test_a_note_of_two_stores_fits_where_the_broker_keeps_it() -> None:
    end = LogEnd("x" * 22, 2**62, 2**62)
    assert len(Note("intake-1023", {"dedup": end, "counters": end}).to_text()) < 1024


@given(note=NOTES, owner=st.text(max_size=30))
def test_a_new_owner_changes_nothing_else_of_a_note(note: Note, owner: str) -> None:
    assert Note.from_text(owned(note.to_text(), owner)) == replace(note, by=owner)


def test_a_partition_that_is_only_given_to_somebody_is_still_one_that_was_never_begun() -> None:
    given = Note.from_text(owned(None, "intake-0"))
    assert (given.by, given.begun) == ("intake-0", False)
    assert not Note.from_text(owned(given.to_text(), "intake-1")).begun
