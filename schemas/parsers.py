"""The parser of each thread, and what it remembers.

libxml2 keeps every name of an element or attribute that it has seen in a dictionary. lxml has
one dictionary per thread, and frees it with the thread and with the last tree of it.

Lives here: who parses. Must not live here: what is refused (see `xml`), the threads of a process
(see `streams.runtime.shifts`).

Invariant: what a thread has read is forgotten with it, unless a tree of it is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from lxml import etree

# A name of 4 bytes was seen to cost 60 in the dictionary, so this is 240 MB in the worst case; in
# the ordinary one a thread ends a few times a second at full speed, which costs 0.1 ms each.
_READ_BYTES_MAX: Final = 16 << 20
Made = TypeVar("Made")


class _Reading(threading.local):
    """The parser of a thread and how much it has read."""

    def __init__(self) -> None:
        # huge_tree: the default limits of libxml2 refuse a text of 10 MB, which a Compressed
        # payload or a raised limit needs. What else they guard is guarded in `xml`: entities by
        # refusing every DTD, depth by `depth_max` (and by libxml2 itself at 2048), sizes by
        # `bytes_max`. collect_ids: without it libxml2 keeps a table of xml:id values, which
        # nobody asks for.
        self.parser = etree.XMLParser(
            encoding="utf-8",
            huge_tree=True,
            resolve_entities=False,
            load_dtd=False,
            dtd_validation=False,
            attribute_defaults=False,
            no_network=True,
            recover=False,
            remove_comments=True,
            remove_pis=True,
            collect_ids=False,
        )
        self.bytes = 0
        # A thread takes over the dictionary of what it uses first.
        etree.fromstring(b"<first/>", self.parser)


_READING: Final = _Reading()


def element(text: bytes) -> etree._Element:
    """The root of a document in UTF-8. Raises XMLSyntaxError."""
    _READING.bytes += len(text)
    return etree.fromstring(text, _READING.parser)


def has_read_enough() -> bool:
    """Whether this thread should end, if it is one that reads messages without end.

    The names of elements and attributes that it has read are forgotten with it, and only so.
    """
    return _READING.bytes >= _READ_BYTES_MAX


def apart(make: Callable[[], Made]) -> Made:
    """What `make` gives, made in a thread of its own.

    For what is kept of our own XML: a tree that outlives the thread it was made in keeps all
    names of that thread.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(make).result()
