"""What stands beside a committed offset, and what strangers may write there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.note import LogEnd, Note

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


@given(note=st.builds(Note, by=st.text(max_size=30), logs=LOGS, loss_accepted=st.booleans()))
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
