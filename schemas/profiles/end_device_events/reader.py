"""EndDeviceEvents: payload -> canonical events, object by object.

Lives here: the rules of the noun beyond its XSD, and the key of an event. Must not live
here: the mapping of single elements (see `parts`).

Invariant: the key is the device the event is about, so that all events of one device stay
in order: its asset, else its usage point, else the event's own mRID.
"""

from pathlib import Path
from typing import Final

from lxml import etree

from schemas.avro import encode_body
from schemas.profiles import keys, parts
from schemas.profiles.definitions import kept_beside
from schemas.profiles.model import Allowance, Outcome
from schemas.profiles.objects import Draft, read_objects
from schemas.profiles.places import Findings
from schemas.profiles.revisions import read_meant
from schemas.profiles.validation import ObjectSchema
from schemas.profiles.writing import Writer

NOUN: Final = "EndDeviceEvents"
SCHEMA: Final = "EndDeviceEvent"


class EndDeviceEventsProfile:
    """See `schemas.profiles.model.Profile`."""

    noun: str = NOUN
    objects = frozenset({"EndDeviceEvent"})

    def __init__(self) -> None:
        self._schema = ObjectSchema(
            Path(__file__).with_name("profile.xsd"),
            NOUN,
            {"EndDeviceEventType": "event_type_missing"},
        )

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Those it is known in, of any year, the one that is written first."""
        return self._schema.known

    def read(
        self,
        payload: etree._Element,
        verb: str = "",  # noqa: ARG002
        allowance: Allowance | None = None,
    ) -> Outcome:
        """Check and map each EndDeviceEvent.

        An event is rejected with `profile_violation`, `event_type_missing`,
        `timestamp_invalid`, `timestamp_without_zone` or `meter_missing` (there is nothing to
        key it by).

        Raises:
            MessageError: `noun_unknown`, `payload_namespace_unknown`.
        """
        return read_meant(payload, self._schema, self._read, allowance or Allowance())

    def _read(self, payload: etree._Element, allowance: Allowance) -> Outcome:
        space = f"{{{self._schema.namespace_of(payload)}}}"
        types = parts.definitions(payload, "EndDeviceEventType", space, *parts.EVENT_TYPE_FIELDS)

        def read_event(element: etree._Element, findings: Findings) -> list[Draft]:
            record = parts.event(element, space, types, findings)
            return draft(record, element, findings)

        carrier = space + "EndDeviceEvent"
        outcome = read_objects(payload, self._schema, carrier, read_event, allowance)
        return kept_beside(outcome, payload, carrier)

    def write(self, record: parts.Record) -> etree._Element:
        """The payload that says what an EndDeviceEvent says.

        Raises:
            ValueError: a MeterReading carried it, and it is written as one (see MeterReadings).
        """
        if record["meter"] is not None:
            raise ValueError("an event with a meter is written by the profile of MeterReadings")
        make = Writer(self._schema.namespace)
        payload = make.payload(NOUN)
        make.event(payload, "EndDeviceEvent", record)
        make.event_type(payload, record)
        return payload


def draft(record: parts.Record, element: etree._Element, findings: Findings) -> list[Draft]:
    """The event to emit; none where `findings` has problems or gets `meter_missing` here.

    The subject is the event's asset, else its usage point, else the meter that carried it,
    else the event itself.
    """
    about = (record["assets"], record["usagePoint"], record["meter"])
    itself = {"mRID": record["mRID"], "names": []}
    key = keys.first_key(*about, itself)
    if key is None:
        findings.add("meter_missing", element, "neither Assets, UsagePoint nor mRID")
    if key is None or findings.problems:
        return []
    return [Draft(NOUN, key, encode_body(SCHEMA, record))]
