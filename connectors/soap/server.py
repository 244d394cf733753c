"""The SOAP door: routes made of a catalogue, an exchange and an entrance.

Lives here: the order of what happens to a request.

    path -> headers -> room? -> body -> envelope -> who? -> too fast? -> message -> allowed?
    -> nonce -> durable -> reply

Must not live here: what an envelope means (`envelope`, `carried`), who somebody is (`security`),
what outcomes look like (`mapping`), Kafka.

Who it is may stand in the envelope, so the body of a stranger is read; the room for bodies bounds
what strangers can cost.

Invariant: nothing of a refused request reaches Kafka but the audit record of a refused system; and
an answer that is no Fault is sent only after the message is durable.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from typing import Final

from starlette.requests import Request
from starlette.responses import Response as Sent
from starlette.routing import Route

from connectors.access import Principal
from connectors.exchange import Call, Exchange, read_call
from connectors.http import (
    ASIDE_BYTES,
    Body,
    Entrance,
    RequestError,
    Response,
    Visit,
    read_body_headers,
    unpack,
)
from connectors.soap import carried, mapping, wsdl
from connectors.soap.config import SoapLimits
from connectors.soap.envelope import Envelope, SoapError, read_envelope, version_of
from connectors.soap.mapping import Asked
from connectors.soap.namespaces import MEDIA_TYPES, version_of_media
from connectors.soap.security import Proof, Security
from connectors.trace import new_traceparent
from schemas.errors import MessageError
from schemas.xml import XmlLimits, parse
from topics import Catalogue

# What stands around a message: addresses, a token, a certificate and a signature.
_AROUND_BYTES: Final = 256 * 1024
_HOST: Final = re.compile(r"[A-Za-z0-9.\-:\[\]]{1,255}", re.ASCII)
_XML: Final = "text/xml; charset=utf-8"


class SoapDoor:
    """Serves requests on one event loop."""

    def __init__(
        self,
        catalogue: Catalogue,
        exchange: Exchange,
        entrance: Entrance,
        security: Security,
        limits: SoapLimits,
    ) -> None:
        self._catalogue = catalogue
        self._exchange = exchange
        self._entrance = entrance
        self._security = security
        self._limits = limits
        self._services = wsdl.services(catalogue)
        self._actions = wsdl.actions(self._services)

    def routes(self) -> list[Route]:
        """What is served, for the application of the process."""
        paths = ("/soap/{interface}", "/soap/{interface}/{noun}")
        posts = [Route(path, self._handled, methods=["POST"]) for path in paths]
        return posts + [Route(path, self._described, methods=["GET"]) for path in paths]

    async def _handled(self, request: Request) -> Sent:
        visit = Visit(request, "soap")
        asked = Asked(version_of_media(visit.headers.get("content-type", "")))

        async def serve() -> Response:
            return await self._post(visit, asked)

        def refuse(error: MessageError | RequestError) -> Response:
            noun = "" if visit.call is None else visit.call.header.noun
            return mapping.refused(error, asked, noun, visit.retry_s)

        return await self._entrance.lead(visit, serve, refuse)

    async def _post(self, visit: Visit, asked: Asked) -> Response:
        self._entrance.check_interface(visit)
        if self._service(visit) is None:
            raise RequestError("path_unknown")
        bytes_max = self._catalogue.bytes_max(visit.interface) + _AROUND_BYTES
        # In chunks, too: many stacks cannot do otherwise.
        body = read_body_headers(visit.headers, bytes_max, MEDIA_TYPES, chunks=True)
        with self._entrance.room(body, bytes_max):
            call = await self._read(visit, asked, body, bytes_max)
            place = await self._exchange.submit(call)
        if asked.addressing.reply_nowhere:
            return mapping.unanswered()
        if call.asked is None:
            return mapping.acknowledged(call, place, asked, _now_ms())
        reply = await self._exchange.reply(place, self._limits.wait_s)
        if reply is None:
            raise SoapError("reply_pending", str(place))
        return mapping.answered(reply, asked, call.header.noun)

    async def _read(self, visit: Visit, asked: Asked, body: Body, bytes_max: int) -> Call:
        """The message in the body of a request, once it may enter."""
        data = await self._entrance.body(visit, body)
        traceparent = visit.traceparent or new_traceparent()
        private = self._limits.tls_elsewhere or _is_private(visit.request)

        def understand() -> tuple[Envelope, Proof | None]:
            unpacked = unpack(data, bytes_max) if body.gzip else data
            root = parse(unpacked, XmlLimits(bytes_max=bytes_max))
            asked.version = version_of(root)
            envelope = read_envelope(root, asked.version)
            asked.addressing = envelope.addressing
            return envelope, self._security.prove(envelope, private=private)

        def carry(envelope: Envelope, proof: Proof | None) -> Call:
            signed = None if proof is None else proof.body
            inside = envelope.body if signed is None else signed
            asked.carried = carried.take_out(inside, envelope.addressing.destination)
            return read_call(
                asked.carried.data,
                visit.interface,
                self._catalogue,
                received_ms=_now_ms(),
                traceparent=traceparent,
            )

        large = body.gzip or len(data) > ASIDE_BYTES
        envelope, proof = await asyncio.to_thread(understand) if large else understand()
        principal = await self._principal(visit, proof)
        self._entrance.pace(visit, principal)
        call = await asyncio.to_thread(carry, envelope, proof) if large else carry(envelope, proof)
        visit.call = call
        self._check(visit, asked, call)
        header = call.header
        principal.check(header.source, call.interface, call.noun, header.verb)
        if proof is not None and large:
            await asyncio.to_thread(self._security.check_nonce, proof, call)
        elif proof is not None:
            self._security.check_nonce(proof, call)
        return call

    async def _principal(self, visit: Visit, proof: Proof | None) -> Principal:
        """Who it is, by the envelope, by HTTP, or by both, which then must be the same.

        Raises:
            MessageError: authentication_needed, authentication_failed.
        """
        try:
            by_http = await self._entrance.authenticate(visit)
        except MessageError as error:
            if proof is None or error.code != "authentication_needed":
                raise
            visit.source = proof.principal.source
            return proof.principal
        if proof is not None and proof.principal.source != by_http.source:
            raise MessageError.of("authentication_failed", "two systems in one request")
        return by_http

    def _check(self, visit: Visit, asked: Asked, call: Call) -> None:
        """Refuse what was sent to another service than that of its noun, or as something else."""
        service = self._service(visit)
        noun = self._catalogue.noun(call.header.noun)
        if service is not None and service.noun and (noun is None or noun.name != service.noun):
            raise SoapError("noun_mismatch", service.noun)
        assert asked.carried is not None  # noqa: S101 - it was taken out
        for action in (mapping.action_of(visit.headers), asked.addressing.action):
            mapping.check_action(action, asked.carried, call, self._actions)

    def _service(self, visit: Visit) -> wsdl.Service | None:
        noun = visit.request.path_params.get("noun", "")
        return self._services.get((visit.interface, noun))

    async def _described(self, request: Request) -> Sent:
        """The WSDL of a service, and the schemas that it names."""
        visit = Visit(request, "soap")
        service = self._service(visit)
        query = {name.lower(): value for name, value in request.query_params.items()}
        if service is not None and "wsdl" in query:
            found = wsdl.document(service, self._address(request, service))
            return Sent(found, media_type=_XML)
        make = None if service is None else service.documents.get(query.get("xsd", ""))
        if make is not None:
            return Sent(await asyncio.to_thread(make), media_type=_XML)
        known = mapping.SOAP_PROBLEMS["document_unknown"]
        text = f"{known['what']}. {known['fix']}\n"
        return Sent(text, 404, media_type="text/plain; charset=utf-8")

    def _address(self, request: Request, service: wsdl.Service) -> str:
        """How the asker reaches the service: as it did just now, or as was set."""
        host = request.headers.get("host", "")
        if self._limits.public_url:
            base = self._limits.public_url.rstrip("/")
        elif _HOST.fullmatch(host):
            base = f"{request.url.scheme}://{host}"
        else:
            base = ""
        return f"{base}{service.path}"


def _is_private(request: Request) -> bool:
    """Whether nobody can overhear the connection: it has TLS, or comes from this machine."""
    if request.url.scheme == "https":
        return True
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
