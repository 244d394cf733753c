"""The messages that mutations start from.

Lives here: where they come from, in which order. The order is part of a seed's meaning, so
it does not depend on the file system.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from streams.demo import messages as m
from streams.demo.scenario import scenario

EXAMPLES = Path(__file__).parents[2] / "examples" / "i7"
# Larger ones cost time without showing more: the largest example has 8 KB.
BYTES_MAX = 64 * 1024
# The scenario is mostly bulk; what is special in it stands at its end.
PLAIN, SPECIAL = 4, 60


@dataclass(frozen=True, slots=True)
class Corpus:
    """Whole messages, and pieces of XML that belong to none."""

    messages: tuple[bytes, ...]
    foreign: tuple[bytes, ...] = ()

    @property
    def everything(self) -> tuple[bytes, ...]:
        """What splices are cut from."""
        return self.messages + self.foreign


def load(folders: Iterable[Path] = ()) -> Corpus:
    """The examples, a selection of the demonstration, and the XML files of `folders`."""
    examples = [path.read_bytes() for path in sorted(EXAMPLES.glob("*.xml"))]
    shown = [sent.data for sent in scenario("HES-1")]
    chosen = [*islice(shown, PLAIN), *shown[-SPECIAL:], *_registers()]
    foreign = [
        path.read_bytes()
        for folder in folders
        for path in sorted(folder.rglob("*.xml"))
        if path.stat().st_size <= BYTES_MAX
    ]
    kept = dict.fromkeys(data for data in (*examples, *chosen) if 0 < len(data) <= BYTES_MAX)
    return Corpus(tuple(kept), tuple(dict.fromkeys(foreign)))


def _registers() -> Iterable[bytes]:
    """Requests that have an answer, whether the noun is live or not."""
    for verb in ("create", "change", "get", "execute"):
        for noun in ("EndDeviceControls", "MeterReadings", "MeterConfig"):
            yield m.envelope(
                f"<{noun}><mRID>m-1</mRID></{noun}>",
                verb=verb,
                noun=noun,
                message_id=f"{verb}-{noun}",
                extra="<AckRequired>true</AckRequired>",
            )
