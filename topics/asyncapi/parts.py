"""What all parts of the document are made of.

Lives here: references, tags. Must not live here: what is referred to (see `document`, `messages`).
"""

from __future__ import annotations

from typing import Any, Final

from topics.catalogue import Noun

Part = dict[str, Any]

# The version of AsyncAPI's Kafka bindings.
BINDING: Final = "0.5.0"
PLANNED: Final = "planned"


def ref(*path: str) -> Part:
    """Refer to what lies at `path` in the document; no name of ours needs escaping."""
    return {"$ref": f"#/{'/'.join(path)}"}


def named(*names: str) -> list[Part]:
    """Give tags by their names; the document's head says what they mean."""
    return [{"name": name} for name in names]


def marks(noun: Noun) -> list[str]:
    """Give the tags of a noun."""
    found = {"personal": noun.personal, "control": noun.control, PLANNED: noun.profile is None}
    return [name for name, holds in found.items() if holds]
