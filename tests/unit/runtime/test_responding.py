"""What the settings make of responders, and what is told of a function that fails."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from connectors.respond import Answer, NoAnswerError, Request, Respond
from streams.runtime.lane import Lane
from streams.runtime.logs import ROOT, JsonFormatter
from streams.runtime.responding import _ask, configured
from streams.runtime.settings import load_settings
from streams.views.answers import ViewAnswers
from tests.unit.intake.test_queries import query
from tests.unit.responder.driver import House, codes_in
from topics import load_catalogue
from topics.errors import OperatorError

CATALOGUE = load_catalogue()
PATIENCE_S = 30.0
SECRET = "meter-of-a-person"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with a responder for Outages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "responding_here.py").write_text(
        "from connectors.respond import Answer, Responder\n"
        "responder = Responder()\n"
        "@responder.answers('Outages')\n"
        "def mine(request):\n"
        "    return Answer()\n"
    )
    monkeypatch.delitem(sys.modules, "responding_here", raising=False)
    return "responding_here:responder"


def test_functions_are_asked_before_the_view(module: str) -> None:
    found = configured(load_settings(respond={"functions": (module,)}), CATALOGUE)
    mine, other = found.of("I1", "Outages"), found.of("I1", "Alarms")
    assert getattr(mine, "__name__", "") == "mine"
    assert isinstance(other, ViewAnswers)


def test_without_the_view_only_functions_are_asked(module: str) -> None:
    settings = load_settings(respond={"functions": (module,), "from_view": False})
    found = configured(settings, CATALOGUE)
    assert found.of("I1", "Outages") is not None
    assert found.of("I1", "Alarms") is None


def test_what_is_left_to_others_or_not_kept_is_not_answered() -> None:
    settings = load_settings(
        respond={"leave": ("Outages",)}, views={"nouns": ("Outages", "Alarms")}
    )
    found = configured(settings, CATALOGUE)
    answered = {noun for noun in CATALOGUE.nouns if found.of("I1", noun) is not None}
    assert answered == {"Alarms"}


@pytest.mark.parametrize(
    "respond",
    [{"leave": ("Toasters",)}, {"timeout_s": 8.5}, {"functions": ("no_such_module:x",)}],
)
def test_what_cannot_work_is_refused_at_the_start(respond: dict[str, object]) -> None:
    with pytest.raises(OperatorError, match=r"config_invalid|responder_invalid"):
        configured(load_settings(respond=respond), CATALOGUE)


def test_a_function_has_as_long_as_a_transaction_leaves() -> None:
    settings = load_settings(kafka={"transaction_timeout_ms": 20_000}, respond={"timeout_s": 18.0})
    configured(settings, CATALOGUE)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged of responders, as it would be written."""
    written: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(self.format(record))

    handler = Keep()
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger(f"{ROOT}.responder")
    logger.addHandler(handler)
    yield written
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    ("failure", "event", "code"),
    [
        (lambda _: CATALOGUE.nouns[SECRET], "responder failed", "5.3 responder_failed"),
        (lambda _: Event().wait(PATIENCE_S), "responder is too slow", "4.1 responder_slow"),
    ],
)
def test_of_a_function_that_fails_a_line_tells_and_says_nothing_of_the_query(
    failure: Respond, event: str, code: str, lines: list[str]
) -> None:
    lane = Lane("test")
    house = House(failure, ask=partial(_ask, lane, 0.05))
    (output,) = house.send(query(asks=f"<ID>{SECRET}</ID>"))
    lane.close()
    (line,) = lines
    assert codes_in(output) == [code]
    assert json.loads(line)["event"] == event
    assert json.loads(line)["noun"] == "MeterReadings"
    assert SECRET not in line


def test_a_refusal_is_no_failure_and_tells_nothing(lines: list[str]) -> None:
    def refuse(request: Request) -> Answer:
        raise NoAnswerError("criteria_too_wide")

    lane = Lane("test")
    house = House(refuse, ask=partial(_ask, lane, PATIENCE_S))
    (output,) = house.send(query())
    lane.close()
    assert codes_in(output) == ["3.1 criteria_too_wide"]
    assert lines == []
