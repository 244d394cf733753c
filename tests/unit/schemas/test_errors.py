"""The codes are complete, readable, and say nothing that a payload said."""

import re

import pytest

from schemas.errors import CODES, XPATH_CHARS_MAX, ErrorCode, MessageError, Problem, raise_if_any

NEEDED = {
    "xml_not_wellformed",
    "xml_encoding",
    "xml_forbidden",
    "xml_too_deep",
    "message_too_large",
    "root_unknown",
    "namespace_unknown",
    "header_missing",
    "header_invalid",
    "verb_missing",
    "verb_unknown",
    "noun_missing",
    "noun_unknown",
    "noun_planned",
    "verb_not_allowed",
    "verb_planned",
    "interface_not_allowed",
    "payload_missing",
    "payload_mismatch",
    "payload_format_unknown",
    "profile_violation",
    "message_id_missing",
    "timestamp_invalid",
    "timestamp_without_zone",
    "value_not_number",
    "interval_reversed",
    "compressed_invalid",
    "compressed_too_large",
    "compressed_ratio",
    "operation_invalid",
    "identity_conflict",
    "identity_uncomparable",
    "misrouted",
    "context_unknown",
    "meter_missing",
    "reading_type_missing",
    "event_type_missing",
    "transaction_aborted",
    "reply_invalid",
    "reply_failed",
    "produce_refused",
    "processing_failed",
}


def test_every_code_that_the_product_uses_exists() -> None:
    assert not NEEDED - set(CODES)


@pytest.mark.parametrize("code", CODES.values(), ids=lambda entry: entry.code)
def test_every_code_is_a_slug_with_a_standard_number_and_two_sentences(code: ErrorCode) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code.code)
    assert re.fullmatch(r"[0-7]\.\d{1,2}", code.iec_code)
    assert not code.what.endswith(".")
    assert code.what[0].islower() or code.what.startswith(("XML", "Compressed"))
    assert code.fix.endswith(".")
    assert code.fix[0].isupper()


def test_a_problem_with_an_unknown_code_is_refused() -> None:
    with pytest.raises(ValueError, match="no_such_code"):
        Problem("no_such_code")


def test_an_error_needs_a_problem() -> None:
    with pytest.raises(ValueError, match="at least one"):
        MessageError()


def test_an_error_says_code_meaning_detail_and_place() -> None:
    error = MessageError.of("verb_missing", "of two", xpath="/RequestMessage/Header", line=3)
    assert str(error) == (
        "verb_missing: the Header has no Verb (of two) at /RequestMessage/Header, line 3"
    )


def test_a_line_alone_is_a_place_too() -> None:
    assert str(Problem("xml_forbidden", line=2)).endswith("line 2")
    assert "None" not in str(Problem("xml_forbidden"))


def test_the_first_problem_decides_the_code() -> None:
    error = MessageError(Problem("noun_missing"), Problem("verb_missing"))
    assert error.code == "noun_missing"
    assert [problem.code for problem in error.problems] == ["noun_missing", "verb_missing"]


def test_no_problem_no_error() -> None:
    raise_if_any([])
    with pytest.raises(MessageError):
        raise_if_any([Problem("noun_missing")])


def test_a_place_with_names_as_long_as_a_message_is_cut() -> None:
    """Found by fuzzing: such a path once became a record header of 100 KB."""
    path = "/RequestMessage/" + "n" * 100_000
    found = Problem("profile_violation", xpath=path).xpath or ""
    assert len(found) == XPATH_CHARS_MAX
    assert path.startswith(found[:-1])
    assert Problem("profile_violation", xpath=path[:XPATH_CHARS_MAX]).xpath == path[:1024]
