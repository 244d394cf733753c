"""What a scenario is, and what is said of it in the end.

Lives here: values. Must not live here: how a scenario is played (`stage`, `runner`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.chaos.stage import Stage

Result = Literal["ok", "failed", "skipped", "blind"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault, and what must hold under it.

    `act` breaks things and raises what is wrong (`faults`); what must hold in every scenario is
    checked after it. `bound_s` ends everything that waits: what takes longer is stuck.
    `selected`: part of `make test`. `workers_only`: nothing is judged but by `act` itself.
    """

    name: str
    about: str
    act: Callable[[Stage], None]
    bound_s: float = 60.0
    selected: bool = False
    judged: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """One scenario with one seed: one line of JSON."""

    scenario: str
    seed: int
    mode: str
    result: Result
    reason: str
    anomalies: tuple[str, ...]
    seconds: float
    sent: int
    events: int
    repeat: str

    @property
    def good(self) -> bool:
        """Whether nothing was found that must not be. A skipped one says why."""
        return self.result in ("ok", "skipped")

    @classmethod
    def from_json(cls, line: str) -> Verdict:
        """From its line."""
        data = json.loads(line)
        return cls(**{**data, "anomalies": tuple(data["anomalies"])})

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), ensure_ascii=False)
