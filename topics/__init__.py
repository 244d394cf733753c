"""The eleven interfaces as data, the names of their topics, and their provisioning.

Lives here: the catalogue (TOML and its loader), topic names, the partitioner, plan and apply
against a cluster. Must not live here: what a payload says (`schemas`), processing (`streams`).

Invariant: whatever a part of cimstream needs to know about an interface, a noun or a topic, it
asks the catalogue; adding a noun is a table entry.
"""

from topics.catalogue import (
    Catalogue,
    CatalogueError,
    Interface,
    Noun,
    Pattern,
    TopicSpec,
    load_catalogue,
)

__all__ = [
    "Catalogue",
    "CatalogueError",
    "Interface",
    "Noun",
    "Pattern",
    "TopicSpec",
    "load_catalogue",
]
