"""Receipts: where each message went, one line each, and the sum of them.

Lives here: what a receipt says and how it is printed. Must not live here: sending.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.text import Text

from connectors.inbound import Admitted
from streams.cli.lines import pipe_may_close
from streams.cli.records import to_json
from streams.runtime.sending import Delivery

# Wide enough for the paths and places of an ordinary run; longer ones push the rest aside.
_PATH_WIDTH: Final = 40
_PLACE_WIDTH: Final = 28
_PRINT_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one message.

    `place` is `topic/partition@offset`, or the topic alone where the offset is not told.
    `code` says why the message went to `rejected`; `failure` why it went nowhere.
    """

    path: str
    place: str = ""
    identity: str = ""
    code: str = ""
    failure: str = ""

    @classmethod
    def of(cls, path: str, message: Admitted, delivery: Delivery) -> Receipt:
        """The receipt for what the broker said."""
        if delivery.failure:
            return cls(path, "", message.identity, message.code, delivery.failure)
        place = f"{delivery.topic}/{delivery.partition}@{delivery.offset}"
        return cls(path, place, message.identity, message.code)


class Receipts:
    """Prints receipts as they come and counts them."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._counts: Counter[str] = Counter()
        self._console: Console | None = None
        self._held: list[Text] = []
        self._printed_s = 0.0

    @contextmanager
    def sharing(self, console: Console) -> Iterator[None]:
        """Print through the console of a progress bar that has the same terminal."""
        self._console = console
        try:
            yield
        finally:
            self._print_held(console)
            self._console = None

    @property
    def failed(self) -> int:
        """Messages that went nowhere."""
        return self._counts["failed"]

    def print(self, receipt: Receipt) -> None:
        """One line on standard output."""
        kind = "failed" if receipt.failure else "rejected" if receipt.code else "sent"
        self._counts[kind] += 1
        line = _json(receipt) if self._as_json else _line(receipt)
        if self._console is not None:
            style = {"failed": "red", "rejected": "yellow"}.get(kind, "")
            self._held.append(Text(line, style))
            # The bar is drawn anew below every print.
            if time.monotonic() - self._printed_s >= _PRINT_EVERY_S:
                self._print_held(self._console)
            return
        # Who reads may have seen enough; what is to be sent is sent all the same.
        with pipe_may_close():
            sys.stdout.write(line + "\n")

    def _print_held(self, console: Console) -> None:
        if self._held:
            console.print(Text("\n").join(self._held), soft_wrap=True)
        self._held.clear()
        self._printed_s = time.monotonic()

    def summary(self) -> str:
        """The sum, one line."""
        parts = [f"{self._counts['sent']} sent"]
        parts += [f"{self._counts[kind]} {kind}" for kind in ("rejected", "failed")
                  if self._counts[kind]]  # fmt: skip
        return ", ".join(parts)


OnReceipt = Callable[[Receipt], None]


def _json(receipt: Receipt) -> str:
    topic, _, place = receipt.place.partition("/")
    partition, _, offset = place.partition("@")
    told: dict[str, object] = {"path": receipt.path}
    if topic:
        told["topic"] = topic
    if offset:
        told |= {"partition": int(partition), "offset": int(offset)}
    told["identity"] = receipt.identity
    told |= {"code": receipt.code} if receipt.code else {}
    told |= {"failure": receipt.failure} if receipt.failure else {}
    return to_json(told)


def _line(receipt: Receipt) -> str:
    if receipt.failure:
        return f"{receipt.path:<{_PATH_WIDTH}}  not sent: {receipt.failure}"
    parts = [
        f"{receipt.path:<{_PATH_WIDTH}}",
        f"{receipt.place:<{_PLACE_WIDTH}}",
        receipt.identity,
        receipt.code,
    ]
    return "  ".join(parts).rstrip()
