"""The AsyncAPI 3 document of a catalogue: its topics, what lies in them, who writes and answers.

Lives here: how the catalogue and the schemas become the document (`document`), its messages and
their headers. Must not live here: facts about topics (`topics.catalogue`) or payloads
(`schemas`); files and printing.

Invariant: a function of the catalogue, the registered schemas and the version; the same ones give
the same text.
"""

from topics.asyncapi.document import document, render

__all__ = ["document", "render"]
