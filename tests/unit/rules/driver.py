"""Runs intake, registers and rules on messages in memory, each after the other to the end."""

from __future__ import annotations

from pathlib import Path

from schemas.envelope import Message, read
from streams.demo import messages as m
from streams.engine.record import Output
from streams.processors.rules import RuleProcessor, Rules
from streams.processors.rules.files import SHIPPED, read_file
from streams.processors.rules.rule import Rule
from tests.unit.registers.driver import CATALOGUE, START_MS, House, header
from topics import naming

__all__ = ["CATALOGUE", "START_MS", "Utility", "header", "rules_of", "shipped"]

NEVER = "9999-01-01T00:00:00Z"
ALWAYS = "1970-01-01T00:00:00Z"


def shipped(name: str) -> str:
    """The text of a shipped rule, in force from the beginning."""
    return (SHIPPED / f"{name}.toml").read_text(encoding="utf-8").replace(NEVER, ALWAYS)


def rule_of(folder: Path, name: str, text: str) -> Rule:
    """A rule from its text."""
    file = folder / f"{name}.toml"
    file.write_text(text, encoding="utf-8")
    return read_file(file, CATALOGUE)


def rules_of(folder: Path, *names: str) -> Rules:
    """Shipped rules by name."""
    return {name: rule_of(folder, name, shipped(name)) for name in names}


class Utility(House):
    """A cluster in memory whose rules act."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.rules = RuleProcessor(CATALOGUE, rules)
        self._processors = (*self._processors, self.rules)

    def append(self, output: Output) -> list[Output]:
        if output.topic in self.rules.inputs:  # which are logs for others, too
            self.logs[output.topic].append(output)
        return super().append(output)

    def sent(self, outputs: list[Output]) -> list[Message]:
        """The messages that rules made, among what followed from a message."""
        return [
            read(one.value or b"")
            for one in outputs
            if one.topic.endswith(".inbound") and one.topic != naming.inbound("")
        ]

    def outcomes(self, rule: str) -> dict[str, int]:
        """What the rule's events came to."""
        return {key[2]: n for key, n in self.counts.items() if key[:2] == ("ruled", rule)}


def outage(message_id: str, verb: str = "create", more: str = "", mrid: str = "o1") -> bytes:
    """A message about a confirmed unplanned outage."""
    body = (
        f'<Outages xmlns="urn:cimstream:Outages:1"><Outage><mRID>{mrid}</mRID>'
        f"<outageKind>unplanned</outageKind><statusKind>confirmed</statusKind>{more}"
        "</Outage></Outages>"
    )
    return m.envelope(body, message_id=message_id, verb=verb, noun="Outages", source="OMS")
