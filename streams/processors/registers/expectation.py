"""Which revision of an object the sender of a change has seen.

Lives here: reading the Header's Property `ExpectedRevision`. Must not live here: comparing it (see
`objects`).

It says of one object which revision the change is based on: the number in the object's events, 0
where there must be no object yet. A message of several objects cannot say it; there the objects'
own `revisionNumber` is compared.
"""

from __future__ import annotations

import re
from typing import Final

from schemas.envelope import Header
from schemas.errors import MessageError

EXPECTED_REVISION: Final = "ExpectedRevision"
# A revision is a long; 18 digits are as far as anybody counts.
_WHOLE: Final = re.compile(r"\d{1,18}", re.ASCII)
_PLACE: Final = "/*/Header/Property"


def expected_revision(header: Header, objects: int) -> int | None:
    """The revision that the message is based on; None where it does not say.

    Raises:
        MessageError: `expected_revision_invalid`, `expected_revision_ambiguous`.
    """
    said = [text for name, text in header.properties if name.lower() == EXPECTED_REVISION.lower()]
    if not said:
        return None
    if len(said) > 1 or _WHOLE.fullmatch(said[0]) is None:
        detail = "given twice" if len(said) > 1 else "no digits, or too many"
        raise MessageError.of("expected_revision_invalid", detail, xpath=_PLACE)
    if objects > 1:
        raise MessageError.of("expected_revision_ambiguous", f"{objects} objects", xpath=_PLACE)
    return int(said[0])
