"""Log lines: JSON for machines, one plain line for a terminal. Always on stderr.

Lives here: formats. Must not live here: what is logged (see `telemetry`). No payload and no
secret reaches a log, because no event carries one.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, Literal

ROOT: Final = "cimstream"
Format = Literal["auto", "json", "text"]

_FIELDS: Final = "fields"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts, level, event, component and the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        line = {
            "ts": _time(record),
            "level": record.levelname,
            "event": record.getMessage(),
            "component": record.name.removeprefix(f"{ROOT}."),
            **getattr(record, _FIELDS, {}),
        }
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """The same for people: time, level, event, then name=value pairs."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        pairs = " ".join(f"{k}={v}" for k, v in getattr(record, _FIELDS, {}).items())
        time = _time(record)[11:19]
        return f"{time} {record.levelname:<7} {record.getMessage()} {pairs}".rstrip()


def configure(level: str, form: Format) -> None:
    """Send everything under the `cimstream` logger to stderr in the wanted form."""
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    root = logging.getLogger(ROOT)
    root.handlers = [handler]
    root.setLevel(level)
    root.propagate = False


def log(component: str, level: int, event: str, **fields: object) -> None:
    """Write one line; `event` is a fixed phrase, everything variable is a field."""
    logging.getLogger(f"{ROOT}.{component}").log(level, event, extra={_FIELDS: fields})


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
