"""The noun NetworkDataSet (IEC 61970-552 in a message): versions of network models.

Lives here: the form of its payload. Must not live here: what the document in it says (see
`schemas.rdf`).
Invariant: a payload that is accepted holds one RDF/XML document and nothing else.
"""

from typing import Final

from lxml import etree

from schemas.errors import MessageError
from schemas.profiles.model import Allowance, Outcome
from schemas.profiles.namespaces import means
from schemas.rdf.enclosed import ROOT
from schemas.xml import line_of

__all__ = ["BASE_OPTIONAL", "MODEL_ID", "NAMESPACE", "NOUN", "NetworkDataSetProfile"]

NOUN: Final = "NetworkDataSet"
NAMESPACE: Final = "http://iec.ch/TC57/2011/NetworkDataSet#"
MODEL_ID: Final = "ModelID"
"""The Property of a Header that names the model of a document which does not name itself."""
BASE_OPTIONAL: Final = ("ModelBase", "optional")
"""The Property of a change to a full model that may be the first version which is known here."""


class NetworkDataSetProfile:
    """A payload is one document; its objects are no items, because they are read as a stream."""

    noun = NOUN
    objects: frozenset[str] = frozenset()
    namespaces = (NAMESPACE,)

    def read(
        self,
        payload: etree._Element,
        verb: str = "",  # noqa: ARG002 - any verb
        allowance: Allowance | None = None,  # noqa: ARG002 - the document is accepted or refused
    ) -> Outcome:
        """Check the form; there are no items, and the document counts as one object.

        Raises:
            MessageError: `noun_unknown`: another element; `payload_namespace_unknown`;
                `payload_mismatch`: not one element rdf:RDF.
        """
        tag = etree.QName(payload)
        if tag.localname != NOUN:
            raise MessageError.of("noun_unknown", xpath=f"/*/Payload/{tag.localname}")
        if not means(tag.namespace or "", self.namespaces):
            raise MessageError.of(
                "payload_namespace_unknown", f"expected {NAMESPACE}", xpath=f"/*/Payload/{NOUN}"
            )
        if [child.tag[1:] for child in payload] != [ROOT]:
            raise MessageError.of(
                "payload_mismatch",
                "not one element rdf:RDF",
                xpath=f"/*/Payload/{NOUN}",
                line=line_of(payload),
            )
        return Outcome(objects=1)
