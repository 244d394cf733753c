"""A system that is an HTTP server: one POST is one attempt to deliver one message.

Lives here: the request, its bounds, and what each answer means. Must not live here: when an
attempt is made, and how often (`streams.runtime.delivery`).
"""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from connectors.destinations import Destination
from connectors.http_outcomes import failure
from connectors.outbound import Outcome, Parcel, Verdict, judged

# Of an answer, no more is read than a reply can have; what is longer is no reply.
_ANSWER_BYTES_MAX: Final = 1024 * 1024
_BEFORE_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class RestClient:
    """See `connectors.outbound.Client`."""

    def __init__(self, destination: Destination) -> None:
        """Raises OSError, ssl.SSLError: a credential or certificate cannot be read."""
        self._destination = destination
        self._headers = {"Content-Type": "application/xml", "Accept": "application/xml, */*;q=0.1"}
        if credential := destination.credential():
            self._headers[destination.credential_header] = credential
        self._client = httpx.AsyncClient(
            verify=_trust(destination),
            timeout=destination.timeout_s,
            limits=httpx.Limits(
                max_connections=destination.in_flight_max,
                max_keepalive_connections=destination.in_flight_max,
            ),
            trust_env=False,
        )

    async def send(self, parcel: Parcel) -> Outcome:
        """One POST. The whole of it, answer included, has `timeout_s`."""
        try:
            async with asyncio.timeout(self._destination.timeout_s):
                return await self._post(parcel)
        except _BEFORE_SENT as error:
            return Outcome(Verdict.AGAIN, f"not reached: {type(error).__name__}")
        except (httpx.HTTPError, TimeoutError) as error:
            return Outcome(Verdict.UNKNOWN, f"no whole answer: {type(error).__name__}")

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()

    async def _post(self, parcel: Parcel) -> Outcome:
        headers = {**self._headers, **request_headers(parcel)}
        url = self._destination.url
        async with self._client.stream(
            "POST", url, content=parcel.message, headers=headers
        ) as response:
            status, after_s = response.status_code, _after_s(response.headers)
            if status >= 300:
                return failure(status, after_s)
            if self._destination.receipt == "reply":
                return Outcome(Verdict.TAKEN)
            if self._destination.receipt == "status":
                return Outcome(Verdict.DONE)
            body = b""
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > _ANSWER_BYTES_MAX:
                    return Outcome(Verdict.UNKNOWN, "the answer is too large for a reply")
            return judged(body)


def request_headers(parcel: Parcel) -> dict[str, str]:
    """CloudEvents in HTTP's binary mode, the trace, and the key by which a repeat is recognised."""
    named = {
        name.replace("_", "-"): text.encode("ascii", "backslashreplace").decode()
        for name, text in parcel.attributes.items()
        if name.startswith("ce_") or name == "traceparent"
    }
    return {**named, "Idempotency-Key": named.get("ce-id", "")}


def _after_s(headers: httpx.Headers) -> float:
    """Of `Retry-After`: seconds, or a date; 0 where it says neither."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if date.tzinfo is None:
        return 0.0
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _trust(destination: Destination) -> ssl.SSLContext:
    context = ssl.create_default_context(
        cafile=None if destination.ca_file is None else str(destination.ca_file)
    )
    if destination.certificate_file is not None:
        context.load_cert_chain(destination.certificate_file, destination.key_file)
    return context
