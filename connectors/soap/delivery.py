"""A destination that is a SOAP server: one call is one attempt to deliver one message.

Lives here: what a destination's settings mean for a call, and what came of it for the message. Must
not live here: the call (`client`), when an attempt is made (`streams.runtime.delivery`).
"""

from __future__ import annotations

from typing import Final

from connectors.destinations import Destination
from connectors.http_outcomes import failure
from connectors.outbound import Outcome, Parcel, Verdict, judged
from connectors.soap.client import (
    Endpoint,
    Faulted,
    NotSentError,
    Replied,
    SoapClient,
    UncertainError,
)
from connectors.soap.namespaces import SOAP_11, SOAP_12, Version
from schemas.errors import MessageError

_VERSIONS: Final[dict[str, Version]] = {"1.1": SOAP_11, "1.2": SOAP_12}


class SoapDelivery:
    """See `connectors.outbound.Client`."""

    def __init__(self, destination: Destination) -> None:
        """Raises OSError: the credential cannot be read."""
        self._receipt = destination.receipt
        self._endpoint = Endpoint(
            destination.url,
            _VERSIONS[destination.soap_version],
            username=destination.username,
            password=destination.credential().encode(),
            ca_file=destination.ca_file,
            certificate_file=destination.certificate_file,
            key_file=destination.key_file,
            timeout_s=destination.timeout_s,
            connect_timeout_s=destination.timeout_s,
        )
        self._client = SoapClient()

    async def send(self, parcel: Parcel) -> Outcome:
        """One call."""
        try:
            outcome = await self._client.call(self._endpoint, parcel.message)
        except MessageError as error:
            return Outcome(Verdict.REFUSED, error.code)
        except NotSentError as error:
            return Outcome(Verdict.AGAIN, f"not reached: {error}")
        except UncertainError as error:
            return Outcome(Verdict.UNKNOWN, f"no whole answer: {error}")
        match outcome:
            case Replied(data):
                return self._replied(data)
            case Faulted(code, _, at_sender):
                # Its text may repeat what the message said.
                return Outcome(Verdict.REFUSED if at_sender else Verdict.UNKNOWN, f"Fault {code}")
        return failure(outcome.status, float(outcome.retry_after_s or 0))

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    def _replied(self, data: bytes) -> Outcome:
        if self._receipt == "reply":
            return Outcome(Verdict.TAKEN)
        if self._receipt == "status" and not data:
            return Outcome(Verdict.DONE)
        return judged(data)
