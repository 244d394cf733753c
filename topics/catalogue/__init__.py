"""The catalogue: interfaces, nouns, patterns and topics, read from the TOML files beside this.

Lives here: the data and what reads it (`loader`), what it becomes (`model`), the topics that
follow from it (`topics`). Must not live here: calls to a cluster (`topics.provision`).

Invariant: a catalogue that loads is whole: every noun has one home, every sender and verb is
known, every number is within its bounds.
"""

from topics.catalogue.loader import load_catalogue
from topics.catalogue.model import (
    VERBS,
    Catalogue,
    CatalogueError,
    Interface,
    Noun,
    Pattern,
    Sizing,
    TopicSpec,
)
from topics.catalogue.specs import side_spec

__all__ = [
    "VERBS",
    "Catalogue",
    "CatalogueError",
    "Interface",
    "Noun",
    "Pattern",
    "Sizing",
    "TopicSpec",
    "load_catalogue",
    "side_spec",
]
