"""The noun MeterReadings (IEC 61968-9): values that meters measured.

Lives here: its profile (XSD), the reference reader, the bulk reader for plain messages
(`columns`), and the layout of a series. Must not live here: other nouns.

Invariant: the reference reader decides what a message means; whatever else reads one gives
the same bytes or nothing.
"""

from schemas.profiles.meter_readings.reader import MeterReadingsProfile

__all__ = ["MeterReadingsProfile"]
