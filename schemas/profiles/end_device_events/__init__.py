"""The noun EndDeviceEvents (IEC 61968-9): what happened at meters and other end devices.

Lives here: its profile (XSD and reader). Invariant: one EndDeviceEvent, one canonical event.
"""

from schemas.profiles.end_device_events.reader import EndDeviceEventsProfile

__all__ = ["EndDeviceEventsProfile"]
