"""The one translation from confluent_kafka errors to the engine's.

Must not live here: decisions about what follows; the engine's error classes carry those.
"""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError, KafkaException

from streams.engine.errors import (
    EngineError,
    FatalError,
    FencedError,
    TransientError,
    UnknownOutcomeError,
)

FENCED: Final = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.PRODUCER_FENCED,
    }
)

# A fenced static member is reported under the code _FATAL, its cause only in the text. The
# text is librdkafka's own, asked of it rather than written down here.
_FENCED_TEXTS: Final = tuple(
    KafkaError(code).str() for code in (KafkaError.FENCED_INSTANCE_ID, KafkaError.PRODUCER_FENCED)
)

# The broker's word that it is this record (or its batch) that cannot be written.
REFUSED: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_TIMESTAMP,
    }
)

# What a client without the right settings, rights or topics hears. Waiting helps none of them.
HOPELESS: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._FATAL,
        KafkaError._INVALID_ARG,
        KafkaError._SSL,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNSUPPORTED_FEATURE,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.GROUP_MAX_SIZE_REACHED,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.INVALID_GROUP_ID,
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.UNSUPPORTED_VERSION,
    }
)

# The open transaction is beyond use and the call does not say why; the abort will.
LOST: Final = frozenset({KafkaError._STATE, KafkaError._FATAL})

# What pending records report when a transaction is aborted: no news.
PURGED: Final = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})


def translate(error: KafkaException | KafkaError, doing: str) -> EngineError:
    """The engine error for a failed transactional call that was `doing` something.

    Fenced first (also when fatal), then fatal, then "abort asked", then "no answer in
    time" (an unknown outcome), then anything else as fatal: librdkafka says to treat the
    unlisted ones so.
    """
    cause, text = _told(error, doing)
    if _fenced(cause):
        return FencedError(text)
    if cause.fatal():
        return FatalError(text)
    if cause.txn_requires_abort():
        return TransientError(text)
    if cause.retriable():
        return UnknownOutcomeError(text)
    return FatalError(text)


def translate_read(error: KafkaException | KafkaError, doing: str) -> EngineError:
    """The engine error for a failed call of a consumer or an admin client.

    These calls change nothing, so what is not hopeless can be repeated: their errors carry
    neither the fatal nor the retriable mark.
    """
    cause, text = _told(error, doing)
    if _fenced(cause):
        return FencedError(text)
    if cause.fatal() or cause.code() in HOPELESS:
        return FatalError(text)
    return TransientError(text)


def _told(error: KafkaException | KafkaError, doing: str) -> tuple[KafkaError, str]:
    cause = error.args[0] if isinstance(error, KafkaException) else error
    return cause, f"{doing}: {cause.name()}: {cause.str()}"


def _fenced(cause: KafkaError) -> bool:
    if cause.code() == KafkaError._FATAL:
        return any(text in cause.str() for text in _FENCED_TEXTS)
    return cause.code() in FENCED
