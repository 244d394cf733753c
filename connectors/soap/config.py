"""Limits of the SOAP door. Must not live here: addresses, TLS, Kafka (`streams.runtime`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SoapLimits:
    """How long a reply is waited for, and how far a sender's clock may be from ours. Seconds.

    `public_url` is how systems reach the door, for the addresses in a WSDL; "" as they asked.
    `tls_elsewhere`: a proxy before the door has TLS, so that what comes could not be overheard.
    """

    wait_s: float = 10.0
    window_s: float = 300.0
    public_url: str = ""
    tls_elsewhere: bool = False
