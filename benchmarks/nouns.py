"""How fast small messages are understood: parsed, validated, mapped and encoded, on one core.

The messages are the examples of the nouns, each over and over; no Kafka. CPU-seconds, so that a
busy machine tells nearly the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.processors.understand import Understanding, Understood
from topics import Catalogue, Noun, load_catalogue, naming

_EXAMPLES: Final = Path(__file__).resolve().parents[1] / "examples" / "nouns"
_FIRST: Final = ("create", "created", "execute")
_CPU_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one noun's example; `messages_per_s` is per second of one core."""

    noun: str
    size_bytes: int
    messages_per_s: float


def measure() -> list[Speed]:
    """The speed of every noun that has an example, the slowest per byte first."""
    catalogue = load_catalogue()
    found = [_speed(noun, data, catalogue) for noun, data in _messages(catalogue)]
    return sorted(found, key=lambda speed: speed.messages_per_s * speed.size_bytes)


def _messages(catalogue: Catalogue) -> Iterator[tuple[Noun, bytes]]:
    for noun in catalogue.nouns.values():
        folder, prefix = _EXAMPLES / noun.home.lower(), naming.kebab(noun.name)
        files = (folder / f"{prefix}-{step}.xml" for step in _FIRST)
        first = next((file for file in files if file.exists()), None)
        if noun.profile is not None and first is not None:
            yield noun, first.read_bytes()


def _speed(noun: Noun, data: bytes, catalogue: Catalogue) -> Speed:
    understanding = Understanding(catalogue, noun.home)
    said = understanding.understand(data)
    assert isinstance(said, Understood), f"the example of {noun.name} is refused"
    count, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < _CPU_S:
        for _ in range(20):
            understanding.understand(data)
        count += 20
    return Speed(noun.name, len(data), count / spent)
