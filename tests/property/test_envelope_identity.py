"""Keys and canonical forms of envelopes are injective, and blind to serialisation."""

import random
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from schemas.canonical import canonical_form, pieces_form
from schemas.envelope import read, write
from schemas.identity import Identity, unreadable_key
from schemas.xml import parse

# --- keys

parts = st.text(st.sampled_from("ab|%257C2:"), max_size=4) | st.text(max_size=5)
contexts = st.sampled_from(["PRODUCTION", "TRAINING", "A", "A|B", "%7C"])
identities = st.builds(Identity, contexts, parts, parts, parts)


def encodable(identity: Identity) -> bool:
    return f"{identity.source}{identity.noun}{identity.message_id}".isprintable()


@settings(deadline=None)
@given(identities.filter(encodable), identities.filter(encodable))
def test_two_envelopes_have_the_same_key_only_if_they_have_the_same_identity(
    one: Identity, other: Identity
) -> None:
    assert (one.key == other.key) == (one == other)
    assert (one.store_key == other.store_key) == (one == other)


@settings(deadline=None)
@given(identities.filter(encodable), st.binary(max_size=20))
def test_no_envelope_has_the_key_of_unreadable_bytes(identity: Identity, data: bytes) -> None:
    assert identity.key != unreadable_key(data)


@settings(deadline=None)
@given(st.lists(parts), st.lists(parts))
def test_lists_of_pieces_in_an_envelope_do_not_run_together(
    one: list[str], other: list[str]
) -> None:
    assert (pieces_form(*one) == pieces_form(*other)) == (one == other)


# --- canonical forms

# A tree as plain data: (name, attributes, text or children). Texts of leaves are stripped.
Tree = tuple[str, tuple[tuple[str, str], ...], Any]

tree_names = st.sampled_from(["a", "b", "{u}a", "{u}b", "{v}a", "a1"])
values = st.text(st.sampled_from("a1:,+@{}() <>&"), max_size=4)
leaf_texts = values.map(str.strip)
attributes = st.dictionaries(tree_names, values, max_size=2).map(
    lambda found: tuple(sorted(found.items()))
)
trees = st.recursive(
    st.tuples(tree_names, attributes, leaf_texts),
    lambda children: st.tuples(
        tree_names, attributes, st.lists(children, min_size=1, max_size=3).map(tuple)
    ),
    max_leaves=6,
)


def as_text(tree: Tree, chance: random.Random | None = None) -> str:
    """The XML of a tree; with `chance` in another dress."""
    name, pairs, content = tree
    prefixes = ["p", "q", "r"]
    space = (lambda: chance.choice(["", " ", "\n\t", "\r", "<!-- r -->"])) if chance else str
    if chance:
        chance.shuffle(prefixes)
        pairs = tuple(chance.sample(pairs, len(pairs)))
    # Every element declares what it uses, so prefixes are bound anew on the way down.
    namespaces = sorted({part[1:2] for part in (name, *dict(pairs)) if part.startswith("{")})
    bound = dict(zip(namespaces, prefixes, strict=False))
    default = name[1:2] if name.startswith("{") and chance and chance.random() < 0.5 else ""

    def tag(clark: str, *, of_element: bool) -> str:
        if not clark.startswith("{"):
            return clark
        if of_element and default:
            return clark[3:]
        return f"{bound[clark[1:2]]}:{clark[3:]}"

    declared = [f'xmlns="{default}"', *(f'xmlns:{p}="{uri}"' for uri, p in bound.items())]
    given_attributes = [f"{tag(key, of_element=False)}={quoteattr(text)}" for key, text in pairs]
    start = " ".join([tag(name, of_element=True), *declared, *given_attributes])
    if isinstance(content, str):
        inside = space() + escape(content) + space()
    else:
        inside = space() + "".join(as_text(child, chance) + space() for child in content)
    return f"<{start}>{inside}</{tag(name, of_element=True)}>"


def form(text: str, encoding: str = "UTF-8") -> str:
    return canonical_form(parse(text.encode(encoding)))


@settings(deadline=None)
@given(trees, trees)
def test_two_payloads_of_envelopes_have_the_same_form_only_if_they_are_the_same(
    one: Tree, other: Tree
) -> None:
    assert (form(as_text(one)) == form(as_text(other))) == (one == other)


@settings(deadline=None)
@given(trees, st.randoms(use_true_random=False))
def test_the_form_of_an_envelopes_payload_does_not_depend_on_its_dress(
    tree: Tree, chance: random.Random
) -> None:
    dressed = as_text(tree, chance)
    assert form(dressed) == form(as_text(tree))
    assert form(dressed, "UTF-16") == form(as_text(tree))
    commented = etree.fromstring(dressed)
    assert canonical_form(commented) == form(as_text(tree))


@settings(deadline=None)
@given(trees.filter(lambda tree: tree[0].startswith("{")), st.randoms(use_true_random=False))
def test_writing_an_envelope_keeps_its_payload_whatever_prefixes_it_has(
    tree: Tree, chance: random.Random
) -> None:
    inside = as_text(tree, chance)
    data = (
        '<m:Message xmlns:m="http://iec.ch/TC57/2011/schema/message" xmlns="d" xmlns:p="v">'
        f"<m:Header><m:Verb>create</m:Verb><m:Noun>{tree[0][3:]}</m:Noun></m:Header>"
        f"<m:Payload>{inside}</m:Payload></m:Message>"
    ).encode()
    written = write(read(data))
    payload = read(written).payload
    assert payload is not None
    assert canonical_form(payload) == form(as_text(tree))
    assert write(read(written)) == written
