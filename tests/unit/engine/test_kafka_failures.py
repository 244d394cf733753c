"""Every error the client library knows is one of ours, chosen by what must be done next."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.engine.errors import (
    FatalError,
    FencedError,
    TransientError,
    UnknownOutcomeError,
)
from streams.engine.kafka.failures import FENCED, HOPELESS, translate, translate_read

CODES = sorted(
    code
    for name in dir(KafkaError)
    if name.lstrip("_").isupper() and isinstance(code := getattr(KafkaError, name), int)
)


@pytest.mark.parametrize("code", CODES)
def test_every_code_of_a_failed_read_is_fenced_hopeless_or_worth_repeating(code: int) -> None:
    expected: type[Exception] = TransientError
    if code in HOPELESS:
        expected = FatalError
    if code in FENCED:
        expected = FencedError
    assert type(translate_read(KafkaError(code), "reading")) is expected


@pytest.mark.parametrize("code", CODES)
def test_an_unmarked_error_of_a_transaction_is_never_worth_repeating(code: int) -> None:
    """The library says to treat what it did not mark as fatal."""
    expected = FencedError if code in FENCED else FatalError
    assert type(translate(KafkaException(KafkaError(code)), "doing")) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KafkaError(KafkaError._FENCED, "x", fatal=True), FencedError),
        (KafkaError(KafkaError.PRODUCER_FENCED, "x", txn_requires_abort=True), FencedError),
        (KafkaError(KafkaError._STATE, "x", fatal=True), FatalError),
        (KafkaError(KafkaError.INVALID_TXN_STATE, "x", txn_requires_abort=True), TransientError),
        (
            KafkaError(KafkaError._TIMED_OUT, "x", retriable=True, txn_requires_abort=True),
            TransientError,
        ),
        (KafkaError(KafkaError._TIMED_OUT, "x", retriable=True), UnknownOutcomeError),
        (KafkaError(KafkaError._TIMED_OUT, "x"), FatalError),
    ],
)
def test_marks_of_a_transactional_error_are_obeyed_in_their_order(
    error: KafkaError, expected: type[Exception]
) -> None:
    assert type(translate(error, "commit")) is expected


def test_a_fenced_member_is_told_from_other_fatal_errors_by_the_librarys_own_words() -> None:
    cause = KafkaError(KafkaError.FENCED_INSTANCE_ID).str()
    fenced = KafkaError(KafkaError._FATAL, f"Fatal error: {cause}: {cause}")
    assert type(translate_read(fenced, "consume")) is FencedError
    other = KafkaError(KafkaError._FATAL, "Fatal error: something else")
    assert type(translate_read(other, "consume")) is FatalError


def test_a_message_says_what_was_tried_and_which_error_it_was() -> None:
    text = str(translate_read(KafkaError(KafkaError._TIMED_OUT, "too slow"), "bounds of a/0"))
    assert text == "bounds of a/0: _TIMED_OUT: too slow"
