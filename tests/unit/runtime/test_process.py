"""How a process of the supervisor ends: its status says whether to start it again."""

from __future__ import annotations

import io
import os
import signal
import sys

import pytest

from streams.engine.errors import FatalError, FencedError, StateLostError, TransientError
from streams.runtime import process
from streams.runtime.process import Orders
from streams.runtime.settings import Settings


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (FencedError("taken"), 75),
        (StateLostError("emptied"), 78),
        (FatalError("disk full"), 70),
        (TransientError("not now"), 70),
        (ValueError("ours"), 70),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_the_status_says_what_ended_the_process(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    def end(code: int) -> None:
        raise SystemExit(code)

    orders = Orders("localhost:1", Settings(), slot=0)
    monkeypatch.setattr(sys, "stdin", io.StringIO(orders.to_json() + "\n"))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(process, "configure", lambda *_: None)
    monkeypatch.setattr(process, "_watch_lifeline", lambda: None)
    monkeypatch.setattr(process, "_obey", fail)
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(SystemExit) as ended:
        process.main()
    assert ended.value.code == status
