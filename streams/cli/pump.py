"""From paths to receipts: reads messages one by one and hands them to the sender.

Lives here: what `cimstream send` does without --watch. Must not live here: options, printing.

Invariant: every message that the paths lead to is given exactly one receipt, and no more of
them are in memory than the sender's buffer holds.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from connectors.files.client import Content, Found, Reading, read_stream, walk
from connectors.files.mapping import shown, to_record
from connectors.inbound import REFUSED_HEAD_BYTES, Admitted
from connectors.models import room
from connectors.trace import new_traceparent
from streams.cli.receipts import OnReceipt, Receipt
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Output
from streams.runtime.sending import Delivery, Sender
from topics import Catalogue

STDIN: Final = "-"


@dataclass(frozen=True, slots=True)
class Piece:
    """One message to be read: its name for people, and where its bytes are (None: stdin)."""

    shown: str
    where: Found | Path | None


def pieces(paths: Sequence[str], on_receipt: OnReceipt) -> Iterator[Piece]:
    """What the paths lead to, in order; folders with all below them, sorted by name.

    What a folder holds but cannot be sent gets its (failed) receipt here.
    """
    for path in paths:
        if path == STDIN:
            yield Piece(STDIN, None)
        elif Path(path).is_dir():
            yield from _in_folder(Path(path), on_receipt)
        else:
            yield Piece(shown(path), Path(path))


def count_pieces(paths: Sequence[str]) -> int:
    """How many messages the paths lead to, for a progress bar."""
    return sum(1 for _ in pieces(paths, lambda _: None))


def send_paths(
    paths: Sequence[str],
    interface: str,
    catalogue: Catalogue,
    kafka: KafkaSettings,
    on_receipt: OnReceipt,
    *,
    timeout_s: float,
    verb: str = "",
) -> None:
    """Send every message that `paths` lead to.

    Args:
        paths: Files, folders and "-" for standard input.
        interface: The interface they belong to, "I1" to "I11".
        catalogue: Says how large a message may be.
        kafka: The cluster.
        on_receipt: Told of each message, in the order of the broker's answers.
        timeout_s: Seconds a message may wait for the broker's answer.
        verb: Of the messages that network models are wrapped in; "" follows their headers.
    """
    waiting: deque[Receipt] = deque()

    # Inside librdkafka's callback nothing may be raised, so receipts are handed on outside it.
    def report(path: str, message: Admitted, delivery: Delivery) -> None:
        waiting.append(Receipt.of(path, message, delivery))

    def hand_on() -> None:
        while waiting:
            on_receipt(waiting.popleft())

    sender = Sender(kafka, timeout_s=timeout_s)
    for piece in pieces(paths, waiting.append):
        try:
            content = _read(piece, catalogue.bytes_max(interface))
        except OSError as error:
            waiting.append(Receipt(piece.shown, failure=f"cannot be read: {error.strerror}"))
        else:
            message = to_record(
                content,
                interface,
                catalogue,
                received_ms=time.time_ns() // 1_000_000,
                origin=piece.shown,
                traceparent=new_traceparent(),
                verb=verb,
            )
            output = Output(message.topic, message.key, message.value, message.headers)
            sender.send(output, partial(report, piece.shown, message))
        hand_on()
    sender.finish()
    hand_on()


def _in_folder(folder: Path, on_receipt: OnReceipt) -> Iterator[Piece]:
    def skipped(relative: str, why: str, fix: str) -> None:
        on_receipt(Receipt(shown(str(folder / relative)), failure=f"{why}; {fix}"))

    try:
        for found in walk(folder, skipped):
            yield Piece(shown(str(folder / found.relative)), found)
    except OSError as error:
        on_receipt(Receipt(shown(str(folder)), failure=f"cannot be listed: {error.strerror}"))


def _read(piece: Piece, bytes_max: int) -> Content:
    """The bytes of one message, no more of them in memory than may enter and a chunk.

    Raises:
        OSError: they cannot be read, or changed meanwhile.
    """
    if piece.where is None:
        return read_stream(
            sys.stdin.buffer, bytes_max=bytes_max, head_bytes=REFUSED_HEAD_BYTES, room=room
        )
    if isinstance(piece.where, Path):
        with piece.where.open("rb") as file:
            return read_stream(file, bytes_max=bytes_max, head_bytes=REFUSED_HEAD_BYTES, room=room)
    reading = Reading(piece.where, bytes_max=bytes_max, head_bytes=REFUSED_HEAD_BYTES, room=room)
    with closing(reading):
        while not reading.step():
            pass
        content = reading.content()
    if content is None:
        raise OSError(0, "it changed while it was read")
    return content
