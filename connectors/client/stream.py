"""Server-sent events from bytes (WHATWG HTML, 9.2.6).

Lives here: the parser. Must not live here: what an event means (`flows`).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import NamedTuple


class Block(NamedTuple):
    """What was said until an empty line. `id` None: nothing was said of it."""

    id: str | None
    event: str
    data: str


class StreamParser:
    """Bytes in pieces of any size, blocks out. What is not finished by an empty line is dropped."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""
        self._id: str | None = None
        self._event = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> Iterator[Block]:
        """The blocks that these bytes complete."""
        text = self._rest + self._decoder.decode(data)
        # A CR at the end may be the first half of a CR LF.
        held = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
        *lines, self._rest = text.split("\n")
        self._rest += held
        for line in lines:
            if line:
                self._field(line)
            elif self._data or self._id is not None:
                yield Block(self._id, self._event, "\n".join(self._data))
                self._id, self._event, self._data = None, "", []
            else:
                self._event = ""

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case _:  # a comment, a wish about reconnecting
                pass
