"""The bulk reader: a plain message from bytes to canonical events, by columns.

Lives here: putting the parts of the bulk path together. Must not live here: any rule of
envelope or profile.

How: `rows` finds the readings without parsing; `skeleton` takes them out, so that a few
hundred bytes per meter are left, in which each kind of reading stands once; `templates` has
the reference reader judge what is left, once per form; `lexical` reads times and values as
columns. Nothing of the message is looked at less strictly than by the reference reader,
because each byte either went through it, or equals one that did, or is a digit.

Invariant: what `read_bulk` gives is what `schemas.envelope.read` and the profile give, byte
for byte, and without rejections; where it cannot know that, it gives None.
"""

from dataclasses import dataclass

import numpy as np

from schemas.avro import wire
from schemas.avro.wire import Int64Array
from schemas.envelope import Header, Message
from schemas.profiles import keys
from schemas.profiles.meter_readings import lexical, rows, series, skeleton, templates
from schemas.profiles.meter_readings.reader import NOUN, MeterReadingsProfile
from schemas.profiles.meter_readings.rows import NotPlainError, Rows
from schemas.profiles.meter_readings.skeleton import Frame
from schemas.profiles.meter_readings.templates import Bounded, HeadForm
from schemas.profiles.model import Item, Outcome
from schemas.xml import DEFAULT

# Longest run of times that is remembered: a day of five-minute values with offset, 288 * 25.
_TIMES_BYTES_MAX = 7200
_TIMES_MAX = 1024
_HEADS_MAX = 256
_FRAMES_MAX = 2048


@dataclass(frozen=True, slots=True)
class BulkMessage:
    """A message read in bulk. `message` has no elements: `outcome` is what its payload said."""

    message: Message
    outcome: Outcome

    @property
    def header(self) -> Header:
        """The message's Header."""
        header = self.message.header
        assert header is not None  # noqa: S101 - a message without Header has no payload
        return header


class BulkReader:
    """Reads plain messages; remembers forms, so keep it. May be shared by threads."""

    def __init__(self) -> None:
        self._profile = MeterReadingsProfile()
        self._heads: Bounded[tuple[bytes, ...], HeadForm] = Bounded(_HEADS_MAX)
        self._frames: templates.Frames = Bounded(_FRAMES_MAX)
        self._times: Bounded[bytes, bytes] = Bounded(_TIMES_MAX)

    def read(self, data: bytes, bytes_max: int = DEFAULT.bytes_max) -> BulkMessage | None:
        """The message, or None where the reference reader must look at it.

        Never raises for any bytes. None says nothing about the message.
        """
        if len(data) > bytes_max:
            return None
        try:
            found = rows.find(data)
            return self._message(found, skeleton.cut(found))
        except NotPlainError:
            return None

    def _message(self, found: Rows, bones: skeleton.Skeleton) -> BulkMessage:
        head, header_texts = self._head(bones)
        times = _Times(found, self._times)
        outcome = Outcome(objects=len(bones.frames))
        for frame in bones.frames:
            self._events(frame, head, found, times, outcome)
        return BulkMessage(head.message(header_texts), outcome)

    def _head(self, bones: skeleton.Skeleton) -> tuple[HeadForm, list[bytes]]:
        pieces = templates.header_pieces(bones.head)
        key = (*pieces[0::3], *pieces[1::3], bones.tail)
        form = self._heads.get(key)
        if form is None:
            form = HeadForm(self._profile, self._frames, pieces, bones.tail)
            if sum(map(len, key)) <= templates.FORM_BYTES_MAX:
                self._heads.remember(key, form)
        return form, pieces[2::3]

    def _events(
        self, frame: Frame, head: HeadForm, found: Rows, times: "_Times", outcome: Outcome
    ) -> None:
        form, texts = head.frame(frame)
        items = outcome.items
        for draft in form.events:
            items.append(Item(draft.noun, draft.key, draft.body, len(items)))
        key = keys.normal(form.key.fill(texts))
        in_avro = [wire.long(len(text)) + text for text in texts]
        for plan in form.plan(tuple(run.kinds for run in frame.runs)):
            chosen = plan.readings
            if isinstance(chosen, slice):
                start, stop = frame.first + chosen.start, frame.first + chosen.stop
                stamps = times.between(start, stop)
                values = found.values[start * 8 : stop * 8]
            else:
                stamps = times.at(chosen + frame.first)
                values = np.frombuffer(found.values, "V8")[chosen + frame.first].tobytes()
            body = b"".join(
                (
                    plan.head.fill(in_avro),
                    stamps,
                    wire.long(plan.length),
                    values,
                    # The end of `values`, and no `valueTexts`.
                    wire.END + wire.END,
                    plan.tail,
                )
            )
            items.append(Item(NOUN, key, body, len(items)))


class _Times:
    """The time fields of series, from the texts of one message."""

    def __init__(self, found: Rows, known: Bounded[bytes, bytes]) -> None:
        self._texts = found.times
        self._size = found.time_size
        self._known = known
        self._column: Int64Array | None = None

    def between(self, start: int, stop: int) -> bytes:
        """The fields for the readings `start` to `stop`."""
        texts = self._texts[start * self._size : stop * self._size]
        known = self._known.get(texts)
        if known is None:
            known = series.time_column(self._all()[start:stop])
            if len(texts) <= _TIMES_BYTES_MAX:
                self._known.remember(texts, known)
        return known

    def at(self, positions: Int64Array) -> bytes:
        """The fields for the readings at these positions."""
        texts = np.frombuffer(self._texts, f"V{self._size}")[positions].tobytes()
        known = self._known.get(texts)
        if known is None:
            known = series.time_column(self._all()[positions])
            if len(texts) <= _TIMES_BYTES_MAX:
                self._known.remember(texts, known)
        return known

    def _all(self) -> Int64Array:
        if self._column is None:
            self._column = lexical.times(self._texts, self._size)
            if self._column is None:
                raise NotPlainError
        return self._column


_READER = BulkReader()


def read_bulk(data: bytes) -> BulkMessage | None:
    """The message that the bytes are, or None where it is not plain enough to tell.

    Takes whole messages (event, request, response) with MeterReadings. None is no judgement:
    read the message with `schemas.envelope.read` and the profile, which decide. Never raises.
    """
    return _READER.read(data)
