"""The responder of docs/requests.md answers as the page says."""

from __future__ import annotations

import re
from pathlib import Path

from connectors.respond import Responder
from tests.unit.intake.test_queries import query
from tests.unit.responder.driver import SPACE, House, codes_in, reply_in

PAGE = Path(__file__).resolve().parents[3] / "docs" / "requests.md"


def test_the_responder_of_the_page_answers_and_refuses() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    asked: list[list[str]] = []

    def ask_the_head_end(meters: list[str]) -> bytes:
        asked.append(meters)
        return f'<MeterReadings xmlns="{SPACE}"/>'.encode()

    names: dict[str, object] = {"ask_the_head_end": ask_the_head_end}
    exec(compile(block, "requests.md", "exec"), names)  # noqa: S102
    responder = names["responder"]
    assert isinstance(responder, Responder)
    respond = responder.of("I7", "MeterReadings")
    assert respond is not None
    house = House(respond)
    (answered,) = house.send(query(asks="<ID>meter-1</ID>"))
    (refused,) = house.send(query(message_id="q-2"))
    assert asked == [["meter-1"]]
    assert reply_in(answered).payload is not None
    assert codes_in(refused) == ["3.1 criteria_too_wide"]
