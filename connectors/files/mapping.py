"""Files to records and positions to bytes. Pure and total; no I/O."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import PurePath

from connectors import models, payloads
from connectors.files.client import Content, Stamp
from connectors.inbound import Admitted, admit, admit_oversize
from topics import Catalogue


@dataclass(frozen=True, slots=True)
class Position:
    """The state of a file whose message is in Kafka."""

    size: int
    mtime_ns: int
    sha256: str

    def matches(self, stamp: Stamp) -> bool:
        """True if a file with this stamp need not be read again."""
        return (self.size, self.mtime_ns) == (stamp.size, stamp.mtime_ns)


def position_key(relative: str) -> bytes:
    """The file's place below the folder, as the bytes the file system has."""
    return os.fsencode(relative)


def encode_position(position: Position) -> bytes:
    """JSON, so that people can read the positions topic."""
    table = {
        "size": position.size,
        "mtime_ns": position.mtime_ns,
        "sha256": position.sha256,
    }
    return json.dumps(table, separators=(",", ":")).encode()


def decode_position(value: bytes) -> Position | None:
    """None for what we did not write: the file is then read and compared anew."""
    try:
        table = json.loads(value)
        return Position(int(table["size"]), int(table["mtime_ns"]), str(table["sha256"]))
    except (ValueError, KeyError, TypeError):
        return None


def shown(relative: str) -> str:
    """A path for people: what is no text shows as replacement characters."""
    return os.fsencode(relative).decode("utf-8", "replace")


def to_record(
    content: Content,
    interface_id: str,
    catalogue: Catalogue,
    *,
    received_ms: int,
    origin: str,
    traceparent: str = "",
    verb: str = "",
) -> Admitted:
    """The record of one file's content; one for `rejected` where it was too large.

    `received_ms` is epoch milliseconds UTC; `origin` names the file to people. What comes without
    an envelope is wrapped in one, with `verb` or what follows from it (see `connectors.models` and
    `connectors.payloads`).

    Raises:
        UnknownInterfaceError: the catalogue has no such interface.
    """
    if content.whole is not None:
        name = PurePath(origin.rpartition(": ")[2]).stem
        return admit(
            models.wrap(content.whole, name, verb)
            or payloads.wrap(content.whole, catalogue, verb)
            or content.whole,
            interface_id,
            catalogue,
            received_ms=received_ms,
            origin=origin,
            traceparent=traceparent,
        )
    return admit_oversize(
        content.head,
        interface_id,
        catalogue,
        size=content.size,
        sha256=content.sha256,
        received_ms=received_ms,
        origin=origin,
        traceparent=traceparent,
    )
