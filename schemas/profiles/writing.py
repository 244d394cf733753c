"""The elements that the hand-written profiles share, made from records: the inverse of `parts`.

Lives here: names, statuses, references, type definitions, events. Must not live here: profiles
that are declared by their XSD (see `mapping`).

Invariant: what `parts` reads of an element made here is the record that it was made from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from lxml import etree

from schemas.profiles import parts
from schemas.profiles.parts import Record
from schemas.times import from_epoch_ms


class Writer:
    """Makes elements of one namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._space = f"{{{namespace}}}"

    def payload(self, noun: str) -> etree._Element:
        """An empty payload."""
        return etree.Element(self._space + noun, nsmap=cast("Any", {None: self._namespace}))

    def child(self, parent: etree._Element, tag: str) -> etree._Element:
        """A new empty child."""
        return etree.SubElement(parent, self._space + tag)

    def leaf(self, parent: etree._Element, tag: str, text: str | None) -> None:
        """A child with this text; nothing where there is none."""
        if text is not None:
            self.child(parent, tag).text = text

    def texts(self, parent: etree._Element, record: Record, *fields: str) -> None:
        """The fields as leaves, in this order."""
        for field in fields:
            self.leaf(parent, field, record[field])

    def time(self, parent: etree._Element, tag: str, instant: parts.Instant | None) -> None:
        """A child with this time; nothing where there is none."""
        if instant is not None:
            self.leaf(parent, tag, from_epoch_ms(parts.epoch_ms(instant)))

    def flag(self, parent: etree._Element, tag: str, value: bool | None) -> None:
        """A child with this truth value; nothing where there is none."""
        if value is not None:
            self.leaf(parent, tag, "true" if value else "false")

    def reference(self, parent: etree._Element, tag: str, ref: str) -> None:
        """A child that refers to a type by its code."""
        self.child(parent, tag).set("ref", ref)

    def names(self, parent: etree._Element, names: Iterable[Record]) -> None:
        """The names, each as an element."""
        for name in names:
            parts.write_name(self.child(parent, "Names"), name, self._space)

    def named(self, parent: etree._Element, tag: str, record: Record | None) -> None:
        """A child that is identified by mRID and names: see `parts.named`."""
        if record is not None:
            element = self.child(parent, tag)
            self.texts(element, record, "mRID")
            self.names(element, record["names"])

    def meter(self, parent: etree._Element, record: Record | None) -> None:
        """A meter: see `parts.meter`."""
        if record is not None:
            element = self.child(parent, "Meter")
            self.texts(element, record, "mRID", "serialNumber")
            self.names(element, record["names"])
            self.status(element, record["status"])

    def status(self, parent: etree._Element, record: Record | None) -> None:
        """A status: see `parts.status`."""
        if record is not None:
            element = self.child(parent, "status")
            self.time(element, "dateTime", record["dateTime"])
            self.texts(element, record, "reason", "remark", "value")

    def period(
        self,
        parent: etree._Element,
        tag: str,
        start: parts.Instant | None,
        end: parts.Instant | None,
    ) -> None:
        """A period, either of whose ends may be open: see `parts.period`."""
        element = self.child(parent, tag)
        self.time(element, "end", end)
        self.time(element, "start", start)

    def definition(self, payload: etree._Element, tag: str, record: Record, *fields: str) -> None:
        """A type definition beside the objects: see `parts.definitions`."""
        element = self.child(payload, tag)
        self.texts(element, record, *fields)
        for fraction in ("argument", "interharmonic"):
            if record.get(fraction) is not None:
                part = self.child(element, fraction)
                self.texts(part, record[fraction], "denominator", "numerator")
        self.names(element, record["names"])
        if not record["names"]:  # the XSD wants one; a blank one says nothing
            self.child(self.child(element, "Names"), "name")

    def event(self, parent: etree._Element, tag: str, record: Record) -> None:
        """An EndDeviceEvent without the meter that carried it: see `parts.event`."""
        element = self.child(parent, tag)
        self.texts(element, record, "mRID")
        self.time(element, "createdDateTime", record["createdDateTime"])
        self.texts(element, record, "issuerID", "issuerTrackingID", "reason", "severity", "userID")
        self.named(element, "Assets", record["assets"])
        for detail in record["endDeviceEventDetails"]:
            self.texts(self.child(element, "EndDeviceEventDetails"), detail, "name", "value")
        self.reference(element, "EndDeviceEventType", record["endDeviceEventType"])
        self.names(element, record["names"])
        self.status(element, record["status"])
        self.named(element, "UsagePoint", record["usagePoint"])

    def event_type(self, payload: etree._Element, event: Record) -> None:
        """What the message of an event said about its type, beside the objects."""
        definition = event["endDeviceEventTypeDefinition"]
        if definition is not None:
            self.definition(payload, "EndDeviceEventType", definition, *parts.EVENT_TYPE_FIELDS)
