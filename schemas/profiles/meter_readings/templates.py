"""What the reference reader has once made of a skeleton, to be filled in again and again.

Lives here: the texts that may differ between messages of one form (slots), and the bounded
memory of forms. Must not live here: rules; the reference reader has them all, and every
form goes through it once, with marks in its slots.

Invariant: a text in a slot is plain (see `_SLOT_TEXT`), and the reference reader takes
every plain text there the same way: as an opaque name. So what holds for the mark holds for
the text. The conditions in `_checked` make sure that an object is judged by itself: what it
is does not depend on its neighbours.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import fields, replace
from itertools import chain
from typing import Any, Final, Generic, NamedTuple, TypeVar

import numpy as np

from schemas import envelope
from schemas.avro.wire import Int64Array
from schemas.envelope import Header, Message
from schemas.errors import MessageError
from schemas.profiles.meter_readings import series, skeleton
from schemas.profiles.meter_readings.facts import Facet, MeterReading
from schemas.profiles.meter_readings.reader import MeterReadingsProfile, ObjectReader
from schemas.profiles.meter_readings.rows import NotPlainError
from schemas.profiles.meter_readings.skeleton import Frame
from schemas.times import TimestampError, from_epoch_ms, to_epoch_ms
from schemas.xml import encoding_of

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bounded(dict[K, V], Generic[K, V]):
    """A memory of at most `entries_max` entries that forgets everything when it is full.

    Whoever sends more forms than fit pays for reading each once more; nothing else happens.
    """

    def __init__(self, entries_max: int) -> None:
        super().__init__()
        self._entries_max = entries_max

    def remember(self, key: K, value: V) -> V:
        """Keep `value` and give it back."""
        if len(self) >= self._entries_max:
            self.clear()
        self[key] = value
        return value


# Printable ASCII but for white space, "<", ">", "&", and the "%" and "|" of keys; no longer
# than the reader takes in a Header field.
_SLOT_TEXT: Final = rb"([!-$'-;=?-{}~]{1,128})"
_HEADER_SLOT: Final = re.compile(
    rb"(<(?:[A-Za-z_][A-Za-z0-9._-]*:)?(?:MessageID|CorrelationID|Timestamp)>)"
    + _SLOT_TEXT
    + rb"(?=</)"
)
_OBJECT_SLOT: Final = re.compile(
    rb"(<(?:[A-Za-z_][A-Za-z0-9._-]*:)?(?:mRID|serialNumber|name)>)" + _SLOT_TEXT + rb"(?=</)"
)
# Two characters of the private use area: the first says that this is a mark, the second which.
_MARK: Final = "\ue000"
_MARK_BYTES: Final = _MARK.encode()
_NUMBERS_FROM: Final = 0xE100
_SLOTS_MAX: Final = 64
# A mark in Avro: six bytes, so the length 12 in zigzag, then the two characters.
_IN_AVRO: Final = re.compile(rb"\x0c" + _MARK_BYTES + rb"(\xee..)", re.DOTALL)
_IN_KEY: Final = re.compile(_MARK_BYTES + rb"(\xee..)", re.DOTALL)
_TIMESTAMP: Final = "1971-02-03T04:05:06.789Z"
_TIMESTAMP_MS: Final = to_epoch_ms(_TIMESTAMP)
_TIMESTAMP_TAG: Final = b"Timestamp"
_FIELDS: Final = {
    b"MessageID": "message_id",
    b"CorrelationID": "correlation_id",
    _TIMESTAMP_TAG: "timestamp_ms",
}
_HEADER_FIELDS: Final = tuple(field.name for field in fields(Header))
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_VALUE: Final = skeleton.VALUE.decode()
_FIRST_MS: Final = to_epoch_ms(skeleton.TIME.decode())
_OBJECT_NAME: Final = b"MeterReading"
_OBJECT_TAG: Final = re.compile(rb"MeterReading(?!s)")

# Longer texts are not remembered. With the limits of `columns` and 10 KiB for a plan, a sender
# of forms that never come twice can fill 2048 * (8 * 10 + 2 * 4) KiB = 172 MiB, and no more.
FORM_BYTES_MAX: Final = 4096
_PLANS_MAX: Final = 8
_PLAN_READINGS_MAX: Final = 1024


def header_pieces(head: bytes) -> list[bytes]:
    """The beginning of a message, cut at the texts that differ between messages of one sender.

    Static text, tag, text, and so on, ending with static text.
    """
    return _HEADER_SLOT.split(head)


class Form(NamedTuple):
    """Bytes with gaps: `parts` are one more than `slots`, which say what goes between them."""

    parts: tuple[bytes, ...]
    slots: tuple[int, ...]

    def fill(self, texts: Sequence[bytes]) -> bytes:
        """The bytes with `texts[slot]` in each gap."""
        if not self.slots:
            return self.parts[0]
        pieces = [self.parts[0]]
        for slot, part in zip(self.slots, self.parts[1:], strict=True):
            pieces.append(texts[slot])
            pieces.append(part)
        return b"".join(pieces)


def _form(marked: bytes, mark: re.Pattern[bytes]) -> Form:
    pieces = mark.split(marked)
    slots = tuple(ord(number.decode()) - _NUMBERS_FROM for number in pieces[1::2])
    return Form(tuple(pieces[0::2]), slots)


def _marked(pieces: Sequence[bytes]) -> bytes:
    """Static texts, tags and slots as a slot pattern splits them, with a mark in each slot."""
    marked = list(pieces)
    for slot, position in enumerate(range(2, len(pieces), 3)):
        if pieces[position - 1].endswith(b"Timestamp>"):
            marked[position] = _TIMESTAMP.encode()
        else:
            marked[position] = _MARK_BYTES + chr(_NUMBERS_FROM + slot).encode()
    return b"".join(marked)


class BlockPlan(NamedTuple):
    """How to make one event.

    `head` is its fields before the times, `tail` those behind the values; `readings` says which
    readings of the frame it has, as a range or as positions.
    """

    head: Form
    readings: slice | Int64Array
    length: int
    tail: bytes


# The position of the block that a copy in a skeleton went to, and its facet.
Copy = tuple[int, Facet]


class FrameForm:
    """A MeterReading as the reference reader understood it."""

    def __init__(self, reader: ObjectReader, facts: MeterReading, copies: Sequence[Copy]) -> None:
        self.key = _form(facts.key, _IN_KEY)
        self.events = facts.events
        self._reader = reader
        self._facts = facts
        self._heads = [_form(reader.head(facts, block), _IN_AVRO) for block in facts.blocks]
        self._plans: Bounded[tuple[bytes, ...], list[BlockPlan]] = Bounded(_PLANS_MAX)
        self._copies = copies

    def plan(self, kinds: tuple[bytes, ...]) -> list[BlockPlan]:
        """The events of a frame whose runs have these kinds, in the reference reader's order."""
        plan = self._plans.get(kinds)
        if plan is None:
            plan = self._planned(kinds)
            if sum(map(len, kinds)) <= _PLAN_READINGS_MAX:
                self._plans.remember(kinds, plan)
        return plan

    def _planned(self, kinds: tuple[bytes, ...]) -> list[BlockPlan]:
        positions: list[list[int]] = [[] for _ in self._heads]
        facets: list[list[Facet]] = [[] for _ in self._heads]
        copy, reading = 0, 0
        for run in kinds:
            for kind in run:
                block, facet = self._copies[copy + kind]
                positions[block].append(reading)
                facets[block].append(facet)
                reading += 1
            copy += max(run) + 1
        return [
            BlockPlan(
                head,
                _selection(chosen),
                len(chosen),
                self._reader.tail(self._facts, block, series.segments(of_block)),
            )
            for head, block, chosen, of_block in zip(
                self._heads, self._facts.blocks, positions, facets, strict=True
            )
            if chosen
        ]


def _selection(positions: list[int]) -> slice | Int64Array:
    first, stop = positions[0], positions[-1] + 1
    return slice(first, stop) if stop - first == len(positions) else np.array(positions)


# By head, static texts and tags.
Frames = Bounded[tuple["HeadForm | bytes", ...], FrameForm]


class HeadForm:
    """A message's beginning and end as the reference reader understood them.

    Made from what `header_pieces` gives for the beginning, and the end. `frames` is shared: it
    has the objects of all heads.
    """

    def __init__(
        self, profile: MeterReadingsProfile, frames: Frames, pieces: list[bytes], tail: bytes
    ) -> None:
        self._profile = profile
        self._frames = frames
        self._head = _marked(pieces)
        self._tail = tail
        self._names = [tag[1:-1].rpartition(b":")[2] for tag in pieces[1::3]]
        self._message: Message | None = None
        self._header_values: list[Any] = []
        self._positions = [_HEADER_FIELDS.index(_FIELDS[name]) for name in self._names]
        around = b"".join(pieces) + tail
        if (
            _OBJECT_TAG.search(around)
            or _MARK_BYTES in around
            or len(set(self._names)) < len(self._names)
        ):
            raise NotPlainError

    def message(self, texts: Sequence[bytes]) -> Message:
        """The message with these texts in its Header, without elements; after the first frame.

        Raises:
            NotPlainError: the text in Timestamp is no time.
        """
        if self._message is None:
            raise NotPlainError
        values = self._header_values.copy()
        for position, name, text in zip(self._positions, self._names, texts, strict=True):
            if name != _TIMESTAMP_TAG:
                values[position] = text.decode()
                continue
            try:
                values[position] = to_epoch_ms(text.decode())
            except TimestampError:
                raise NotPlainError from None
        message = self._message
        # As dataclasses.replace does it, at a third of its cost.
        header = Header(*values)
        return Message(message.kind, header, reply=message.reply, format=message.format)

    def frame(self, frame: Frame) -> tuple[FrameForm, list[bytes]]:
        """The form of a frame, and the texts for its slots.

        Raises:
            NotPlainError: the object cannot be judged by itself, or the reference reader
                rejects it.
        """
        # Events have times and texts of their own, so no two frames with events are alike.
        pieces = (
            [frame.text] if b"EndDeviceEvents" in frame.text else _OBJECT_SLOT.split(frame.text)
        )
        key = (self, *pieces[0::3], *pieces[1::3])
        form = self._frames.get(key)
        if form is None:
            form = self._checked(frame, pieces)
            if len(frame.text) <= FORM_BYTES_MAX:
                self._frames.remember(key, form)
        return form, pieces[2::3]

    def _checked(self, frame: Frame, pieces: list[bytes]) -> FrameForm:
        """Let the reference reader judge a message with this one object.

        Its one start tag and one end tag enclose the object, there is no other such tag in the
        message, and nothing hides markup from this view (comments, CDATA, instructions). So
        the object is one whole element wherever it stands between `head` and `tail`.
        """
        text = frame.text
        copies = sum(max(run.kinds) + 1 for run in frame.runs)
        xml = self._head + _timed(_marked(pieces), copies) + self._tail
        tags = _OBJECT_TAG.findall(text)
        if (
            len(tags) != 2
            or not text.endswith(_OBJECT_NAME + b">")
            or _MARK_BYTES in text
            or len(pieces) > 3 * _SLOTS_MAX
            or b"<!" in xml
            or xml.find(b"<?", len(_BYTE_ORDER_MARK) + 1) >= 0
        ):
            raise NotPlainError
        try:
            message = envelope.read(xml)
        except MessageError:
            raise NotPlainError from None
        judged = None if message.payload is None else self._profile.single(message.payload)
        # In another encoding the bytes of a tag might be something else.
        if judged is None or encoding_of(xml) != "utf-8":
            raise NotPlainError
        reader, facts = judged
        form = FrameForm(reader, facts, _found(facts, copies))
        if self._message is None:
            self._understand(message)
        return form

    def _understand(self, message: Message) -> None:
        """Keep the message; each mark must have come out in its own field of the Header."""
        values = [getattr(message.header, name) for name in _HEADER_FIELDS]
        for slot, (position, name) in enumerate(zip(self._positions, self._names, strict=True)):
            expected: object = _MARK + chr(_NUMBERS_FROM + slot)
            if values[position] != (_TIMESTAMP_MS if name == _TIMESTAMP_TAG else expected):
                raise NotPlainError
        # Without its elements: what is kept of a tree keeps all of it.
        bare = replace(message, request=None, payload=None)
        self._message, self._header_values = bare, values


def _timed(text: bytes, copies: int) -> bytes:
    """The skeleton with another time in each copy of a reading, in seconds from the first."""
    pieces = text.split(skeleton.TIME)
    if len(pieces) != copies + 1:
        raise NotPlainError
    times = [from_epoch_ms(_FIRST_MS + 1000 * copy).encode() for copy in range(copies)]
    return b"".join(chain.from_iterable(zip(pieces, [*times, b""], strict=True)))


def _found(facts: MeterReading, copies: int) -> list[Copy]:
    """What became of each copy: the reader may have put it anywhere, its time tells which it is.

    Raises:
        NotPlainError: a copy is missing, or there are readings that are no copies.
    """
    found: dict[int, Copy] = {}
    count = 0
    for position, block in enumerate(facts.blocks):
        for time_ms, text, facet in zip(block.times_ms, block.texts, block.facets, strict=True):
            if text == _VALUE:
                found[(time_ms - _FIRST_MS) // 1000] = (position, facet)
            count += 1
    if count != copies or sorted(found) != list(range(copies)):
        raise NotPlainError
    return [found[copy] for copy in range(copies)]
