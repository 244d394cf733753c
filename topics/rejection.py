"""The headers of a record on `rejected`, whoever writes it.

Lives here: names of headers and what each says. `__connect.errors.*` are those of Kafka
Connect's dead letter queues, so that its users' tools work; `cimstream_*` carry the stable
code with what, where, why and what to do. Must not live here: when something is rejected.
"""

from __future__ import annotations

from typing import Final

from schemas.errors import ErrorCode

UNKNOWN_SOURCE: Final = "urn:cimstream:unknown-source"
"""CloudEvents demands a source; this stands for a message whose header names none."""

REDRIVEN_FROM: Final = "cimstream_redrivenfrom"
"""On inbound: the place in `rejected` from which a message enters again. Kept if it is rejected."""

_CLASS: Final = "schemas.errors.MessageError"


def rejection_headers(
    code: ErrorCode,
    *,
    why: str,
    where: str,
    topic: str,
    stage: str,
    partition: int | None = None,
    offset: int | None = None,
) -> tuple[tuple[str, bytes], ...]:
    """Give the headers that say why a message was rejected.

    Args:
        why: What is wrong with this one; no payload values.
        where: `topic/partition@offset` with XPath and line, or the place outside Kafka.
        topic: The inbound topic it lies on, or would have entered.
        stage: ADMISSION (before Kafka) or PROCESSING.
        partition: With `offset`, where it lies; both absent if it never entered.
        offset: See `partition`.
    """
    more = "" if why == code.what else f"; {why}"
    told = {
        "__connect.errors.topic": topic,
        "__connect.errors.stage": stage,
        "__connect.errors.exception.class.name": _CLASS,
        "__connect.errors.exception.message": f"{code.code}: {code.what}{more}",
        "cimstream_code": code.code,
        "cimstream_iec_code": code.iec_code,
        "cimstream_what": code.what,
        "cimstream_where": where,
        "cimstream_why": why,
        "cimstream_fix": code.fix,
    }
    if partition is not None and offset is not None:
        told["__connect.errors.partition"] = str(partition)
        told["__connect.errors.offset"] = str(offset)
        told["cimstream_inbound"] = f"{topic}/{partition}@{offset}"
    return tuple((name, text.encode(errors="replace")) for name, text in told.items())
