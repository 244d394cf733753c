"""A SOAP door on an exchange without Kafka, and what speaks to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from lxml import etree

from connectors.access import Gatekeeper, SourceAccess
from connectors.rest.config import RestLimits
from connectors.rest.server import RestDoor
from connectors.soap.config import SoapLimits
from connectors.soap.namespaces import SOAP_11, SOAP_12, Version
from connectors.soap.nonces import Nonces
from connectors.soap.security import Security
from connectors.soap.server import SoapDoor
from tests.integration.data_rig import message
from tests.unit.gateway.fake import FakeExchange
from topics import Catalogue, load_catalogue

CATALOGUE = load_catalogue()
MSG = "http://iec.ch/TC57/2011/schema/message"


class Client:
    """Speaks to both doors of a process without a socket."""

    def __init__(
        self,
        exchange: FakeExchange,
        access: Mapping[str, SourceAccess] | None = None,
        *,
        limits: SoapLimits | None = None,
        now_ms: Any = None,
        nonces: Path | None = None,
        catalogue: Catalogue = CATALOGUE,
    ) -> None:
        self.exchange = exchange
        self.peer, self.scheme = "127.0.0.1", "http"
        gatekeeper = Gatekeeper(access)
        chosen = limits or SoapLimits(wait_s=1.0)
        rest = RestDoor(catalogue, exchange, gatekeeper, RestLimits(), lambda *_: None)
        clock = {} if now_ms is None else {"clock": now_ms}
        self.security = Security(gatekeeper, Nonces(nonces), chosen, **clock)
        door = SoapDoor(catalogue, exchange, rest.entrance, self.security, chosen)
        self._application = rest.application(*door.routes())

    def __call__(self, method: str, path: str, **given: Any) -> httpx.Response:
        return asyncio.run(self._request(method, path, given))

    def post(
        self,
        body: bytes,
        path: str = "/soap/I7",
        version: Version = SOAP_11,
        **headers: str,
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self("POST", path, content=body, headers={"Content-Type": version.media, **named})

    async def _request(self, method: str, path: str, given: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._application, client=(self.peer, 1))
        async with httpx.AsyncClient(
            transport=transport, base_url=f"{self.scheme}://door"
        ) as client:
            return await client.request(method, path, **given)


def enveloped(
    body: bytes | None = None, header: str = "", version: Version = SOAP_11, around: str = ""
) -> bytes:
    """A message in an envelope; `around` are attributes of the Envelope."""
    inside = undeclared(message("m-1") if body is None else body)
    head = f"<s:Header>{header}</s:Header>" if header else ""
    begin = f'<s:Envelope xmlns:s="{version.namespace}" {around}>{head}<s:Body>'
    return begin.encode() + inside + b"</s:Body></s:Envelope>"


def undeclared(data: bytes) -> bytes:
    """A document without the XML declaration, to put into another."""
    return data[data.index(b"?>") + 2 :] if data.startswith(b"<?xml") else data


def fault_of(response: httpx.Response, version: Version = SOAP_11) -> tuple[str, str]:
    """The fault code of an answer and our code in its detail; both have to be there."""
    root = etree.fromstring(response.content)
    assert response.headers["content-type"].startswith(version.media)
    fault = root.find(f"{{{version.namespace}}}Body/{{{version.namespace}}}Fault")
    assert fault is not None, response.text
    if version is SOAP_12:
        values = fault.findall(f".//{{{version.namespace}}}Value")
        code = values[-1].text
    else:
        code = fault.findtext("faultcode")
    details = fault.findtext(f".//{{{MSG}}}Error/{{{MSG}}}details")
    assert code
    assert details
    return code, details.partition(":")[0]


def result_of(response: httpx.Response) -> str | None:
    """The Result of the reply in an answer."""
    assert response.status_code == 200, response.text
    return etree.fromstring(response.content).findtext(".//{*}Reply/{*}Result")


__all__ = [
    "CATALOGUE",
    "MSG",
    "SOAP_11",
    "SOAP_12",
    "Client",
    "enveloped",
    "fault_of",
    "result_of",
    "undeclared",
]
