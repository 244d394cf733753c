"""The table of responders."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from connectors.respond import Answer, Request, Responder, load_responder
from topics import load_catalogue
from topics.errors import OperatorError

CATALOGUE = load_catalogue()


def nothing(request: Request) -> Answer:
    return Answer()


def other(request: Request) -> Answer:
    return Answer()


def test_the_first_that_fits_is_asked() -> None:
    responder = Responder()
    responder.answers("Outages", interface="I6")(nothing)
    responder.answers("Outages", "Alarms")(other)
    assert responder.of("I6", "Outages") is nothing
    assert responder.of("I1", "Outages") is other
    assert responder.of("I1", "Alarms") is other
    assert responder.of("I1", "Crews") is None


@pytest.mark.parametrize(
    ("noun", "interface"),
    [("Toasters", ""), ("MeterReadings", "I1"), ("Outages", "I99"), ("NetworkDataSet", "I2")],
)
def test_what_nobody_can_ask_for_is_refused_at_the_start(noun: str, interface: str) -> None:
    responder = Responder()
    responder.answers(noun, interface=interface)(nothing)
    with pytest.raises(OperatorError, match="responder_invalid"):
        responder.check(CATALOGUE)


def test_what_somebody_can_ask_for_is_accepted() -> None:
    responder = Responder()
    responder.answers("Outages", interface="I6")(nothing)
    responder.answers("MeterReadings")(nothing)
    responder.check(CATALOGUE)


def test_responders_are_found_by_their_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "responders_of_this_test.py").write_text(
        "from connectors.respond import Answer, Responder\n"
        "mine, no_responder = Responder(), 7\n"
        "@mine.answers('Outages')\n"
        "def answer(request):\n"
        "    return Answer()\n"
    )
    found = load_responder(["responders_of_this_test:mine"])
    assert found.of("I1", "Outages") is not None
    for wrong in (
        "responders_of_this_test:none",
        "responders_of_this_test:no_responder",
        "no_such",
    ):
        with pytest.raises(OperatorError, match="responder_invalid"):
            load_responder([wrong])
    del sys.modules["responders_of_this_test"]
