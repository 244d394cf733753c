"""What a check has found: the first of each kind, and how many there are.

Lives here: `Finding`, `Notice`, and the ledger that keeps a bounded number of them. Must not live
here: what is wrong.

Invariant: the totals count everything, however much was kept.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas.errors import Problem

KEPT_MAX: Final = 100


class Notice(StrEnum):
    """What is worth knowing and no fault."""

    EXTERNAL = "external"
    """An object that lives in another model."""

    EXTENSION = "extension"
    """A name that is not of the CIM: kept, and not checked beyond its form."""

    LACKING = "lacking"
    """What the CIM demands, in a document that names no profile: there it may be left out."""

    IRREGULAR = "irregular"
    """Written as the CIM does not have it, and plain what is meant: kept as it is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, or one thing worth knowing, of one object.

    `code` is one of `schemas.errors.CODES`, or a `Notice`. `document` is the name that the
    caller gave, `line` counts from 1. `detail` names attributes and classes, never values.
    """

    code: str
    cls: str
    mrid: str
    line: int | None
    document: str
    detail: str

    @property
    def is_notice(self) -> bool:
        """Whether it is no fault."""
        return isinstance(self.code, Notice)

    def told(self) -> str:
        """The notice in a line."""
        line = "" if self.line is None else f", line {self.line}"
        return f"{self.code}: {self.cls} {self.mrid}: {self.detail}{line}"

    def problem(self) -> Problem:
        """The fault as a rejection and a reply have it.

        Raises:
            ValueError: it is a notice.
        """
        return Problem(self.code, f"{self.cls} {self.mrid}: {self.detail}", line=self.line)


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check.

    `findings` are at most `KEPT_MAX` of each code, in the order of the documents; `totals` count
    all by code. `classes` counts objects by class.
    """

    findings: tuple[Finding, ...]
    totals: Mapping[str, int]
    classes: Mapping[str, int]

    @property
    def objects(self) -> int:
        """How many objects there are; one that several documents speak of is one."""
        return sum(self.classes.values())

    @property
    def faults(self) -> int:
        """How many faults there are, those that were not kept included."""
        return sum(count for code, count in self.totals.items() if not isinstance(code, Notice))


class Ledger:
    """Takes findings as they come."""

    def __init__(self, kept_max: int = KEPT_MAX) -> None:
        self.totals: Counter[str] = Counter()
        self._kept: list[Finding] = []
        self._most = kept_max

    def add(self, finding: Finding) -> None:
        """Count it, and keep it if there is room for its code."""
        self.totals[finding.code] += 1
        if self.totals[finding.code] <= self._most:
            self._kept.append(finding)

    def kept(self) -> tuple[Finding, ...]:
        """What was kept, in the order in which it came."""
        return tuple(self._kept)
