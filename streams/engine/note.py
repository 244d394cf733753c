"""What is written beside a committed input offset: who committed it, and how far the logs were.

Lives here: the text of a note. Must not live here: what follows from one (see `recovery`).

The offset and its note are one record of the group's coordinator, in the same transaction as
the work. So the note outlives the local disk, and it is the one witness that a changelog was
deleted, emptied or made anew: state that is gone must not look like state that never was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

_VERSION: Final = 1


class LogEnd(NamedTuple):
    """How far a changelog partition was: its topic's id, the offset behind its last record.

    `time_ms` is that record's append time (epoch ms UTC), -1 where it is not known.
    """

    topic_id: str
    end: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Note:
    """`by` is the transactional id of the one who committed, or was given the partition since.

    `logs` is by name of the store. `loss_accepted`: an operator has decided to go on with
    whatever the changelogs hold. `begun` is false where the partition was given to somebody and
    nothing of it was ever committed: the offset beside such a note says nothing.
    """

    by: str = ""
    logs: Mapping[str, LogEnd] = field(default_factory=dict)
    loss_accepted: bool = False
    begun: bool = True

    def to_text(self) -> str:
        """One line of JSON; about 80 characters and 60 for each store (the broker takes 4096)."""
        document: dict[str, object] = {"v": _VERSION, "by": self.by, "logs": self.logs}
        if self.loss_accepted:
            document["loss_accepted"] = True
        if not self.begun:
            document["begun"] = False
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Note:
        """From that line; an empty note for what another tool or another version wrote."""
        try:
            document = json.loads(text)
            if document["v"] != _VERSION:
                return cls()
            logs = {
                name: LogEnd(str(i), int(e), int(t)) for name, (i, e, t) in document["logs"].items()
            }
            return cls(
                str(document["by"]),
                logs,
                document.get("loss_accepted") is True,
                document.get("begun") is not False,
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()


def owned(text: str | None, owner: str) -> str:
    """The same note with another owner; of None, the note of what was never committed."""
    if text is None:
        return Note(owner, begun=False).to_text()
    return replace(Note.from_text(text), by=owner).to_text()
