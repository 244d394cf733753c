"""Names of SOAP, WSDL, WS-Addressing and WS-Security, and the two versions of SOAP.

Lives here: names and tables. Must not live here: how an envelope is read or written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ABSTRACT: Final = "http://iec.ch/TC57/2011/abstract"
"""The wrappers of the generic form: Request, Response, PublishEvent."""
ACTIONS: Final = "http://iec.ch/61968/"
"""What stands before an operation of the generic form in its action."""

WSA: Final = "http://www.w3.org/2005/08/addressing"
# Of 2005 and of the submission before it, which stacks of that time still send.
ADDRESSING: Final = frozenset({WSA, "http://schemas.xmlsoap.org/ws/2004/08/addressing"})
# Both have their anonymous address under their own name.
ANONYMOUS: Final = frozenset(
    {f"{WSA}/anonymous", "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"}
)
NOWHERE: Final = f"{WSA}/none"

_WSS: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE: Final = f"{_WSS}wssecurity-secext-1.0.xsd"
WSU: Final = f"{_WSS}wssecurity-utility-1.0.xsd"
PASSWORD_DIGEST: Final = f"{_WSS}username-token-profile-1.0#PasswordDigest"
PASSWORD_TEXT: Final = f"{_WSS}username-token-profile-1.0#PasswordText"
BASE64: Final = f"{_WSS}soap-message-security-1.0#Base64Binary"
X509_V3: Final = f"{_WSS}x509-token-profile-1.0#X509v3"
DS: Final = "http://www.w3.org/2000/09/xmldsig#"
THUMBPRINT: Final = (
    "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1"
)
KEY_IDENTIFIER: Final = f"{_WSS}x509-token-profile-1.0#X509SubjectKeyIdentifier"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of SOAP: its envelope, its media type, what it calls whose fault it is.

    `here` are the actors (roles) that mean the one who answers.
    """

    namespace: str
    media: str
    sender: str
    receiver: str
    actor: str
    here: frozenset[str]


SOAP_11: Final = Version(
    "http://schemas.xmlsoap.org/soap/envelope/",
    "text/xml",
    "Client",
    "Server",
    "actor",
    frozenset({"", "http://schemas.xmlsoap.org/soap/actor/next"}),
)
SOAP_12: Final = Version(
    "http://www.w3.org/2003/05/soap-envelope",
    "application/soap+xml",
    "Sender",
    "Receiver",
    "role",
    frozenset(
        {
            "",
            "http://www.w3.org/2003/05/soap-envelope/role/next",
            "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver",
        }
    ),
)
VERSIONS: Final = {version.namespace: version for version in (SOAP_11, SOAP_12)}
MEDIA_TYPES: Final = (SOAP_11.media, SOAP_12.media, "application/xml")
"""What a POST may say it is; the envelope decides which version it is of."""


def version_of_media(media: str) -> Version:
    """The version of a Content-Type, for the answer to what could not be read."""
    return SOAP_12 if media.lower().startswith(SOAP_12.media) else SOAP_11
