"""How many namespaces are declared in the scope of an element.

libxml2 repeats them with each object that is judged or written by itself, in the square of their
number: 15,000 declarations in 200 KB took minutes.

Lives here: counting them. Must not live here: the limit (see `xml`).
"""

from __future__ import annotations

import re
from typing import Final

from lxml import etree

from schemas.errors import MessageError

# Bounded pieces, and tried at no more places than there may be declarations.
_PREFIX_MAX: Final = 64
_NAME_MAX: Final = 512
_DECLARED: Final = re.compile(
    rb"xmlns(?::[^\s=<>\"'&]{1,%d})?+[ \t\r\n]{0,9}=[ \t\r\n]{0,9}(?:\"[^\"]{0,%d}\"|'[^']{0,%d}')"
    % (_PREFIX_MAX, _NAME_MAX, _NAME_MAX)
)


def refuse_crowded(root: etree._Element, text: bytes, most: int) -> None:
    """Refuse a document with more than `most` declarations on one path from the root.

    `text` is its UTF-8, which for nearly every document tells at once.

    Raises:
        MessageError: `xml_too_many_namespaces`, also for one with a very long name.
    """
    count = text.count(b"xmlns")
    if count <= most and len(_DECLARED.findall(text)) == count:
        return
    depth = 0
    for event, declared in etree.iterwalk(root, events=("start-ns", "end-ns")):
        if event == "end-ns":
            depth -= 1
            continue
        depth += 1
        if depth > most:
            raise MessageError.of("xml_too_many_namespaces", f"more than {most}")
        if sum(map(len, declared)) > _PREFIX_MAX + _NAME_MAX:
            detail = f"one of more than {_PREFIX_MAX + _NAME_MAX} characters"
            raise MessageError.of("xml_too_many_namespaces", detail)
