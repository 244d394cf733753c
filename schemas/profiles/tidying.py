"""Objects as their profile would have written them: its order of children, its words.

What differs from that says nothing else (docs/adr/0005), but an XSD does not let it pass. White
space before a time does not in libxml2, though XML Schema takes it away.

Lives here: putting it right, in one walk. Must not live here: when it is tried, what is wrong with
an object (see `validation`).

Invariant: nothing is added or removed; children of one name keep their order.
"""

from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from types import MappingProxyType
from typing import Final, NamedTuple

from lxml import etree

from schemas.profiles.parts import SPACE
from schemas.profiles.shapes import XS, ProfileFileError

_FIRST: Final = itemgetter(0)

Synonyms = Mapping[str, Mapping[str, str]]
"""By code list: a word that others use, to the list's word that is meant."""
NO_SYNONYMS: Final[Synonyms] = MappingProxyType({})


class _Child(NamedTuple):
    """What a type says of a child: its place, its type, and the words for a code in it."""

    place: int
    kind: str
    words: Mapping[str, str]


class Tidied(NamedTuple):
    """What was put right: whether anything moved, and leaves with the words they had."""

    moved: bool
    replaced: list[tuple[etree._Element, str]]

    def __bool__(self) -> bool:
        """Whether it is worth judging the object again."""
        return self.moved or bool(self.replaced)

    def give_words_back(self) -> None:
        """What is rejected is kept with the words that it came with."""
        for leaf, text in self.replaced:
            leaf.text = text


class Tidying:
    """The order and the words of one XSD in one namespace.

    Raises:
        ProfileFileError: synonyms for a code that its list does not have, a code as the synonym of
            another, or a list whose codes differ in capitals only.
    """

    def __init__(self, schema: etree._Element, synonyms: Synonyms, namespace: str) -> None:
        space = f"{{{namespace}}}"
        lists = {name: dict(_words(schema, name, words)) for name, words in synonyms.items()}
        self.objects = {space + name: kind for name, kind in _elements(schema)}
        """The elements that may stand alone, with their types."""
        self._types = {
            kind.get("name", ""): {
                space + name: _Child(place, of_child, lists.get(of_child, {}))
                for place, (name, of_child) in enumerate(_elements(sequence))
            }
            for kind in schema.iterfind(f"{XS}complexType")
            for sequence in kind.iterfind(f"{XS}sequence")
        }

    def apply(self, top: etree._Element) -> Tidied:
        """Put `top` and all below it right, in place; unknown children go last."""
        moved = False
        replaced: list[tuple[etree._Element, str]] = []
        waiting = [(top, self._types.get(self.objects.get(top.tag, "")))]
        while waiting:
            element, types = waiting.pop()
            if types is None:
                continue
            previous, in_order = 0, True
            for child in element:
                what = types.get(child.tag)
                place = len(types)
                if what is not None:
                    place, kind, words = what
                    if kind in self._types:
                        waiting.append((child, self._types[kind]))
                    else:
                        _replace(child, words, replaced)
                in_order = in_order and place >= previous
                previous = place
            if not in_order:
                _sort(element, types)
                moved = True
        return Tidied(moved, replaced)


def _sort(element: etree._Element, types: Mapping[str, _Child]) -> None:
    places = [(types[child.tag].place if child.tag in types else len(types)) for child in element]
    placed = sorted(zip(places, element, strict=True), key=_FIRST)
    # Each moves to the end; a slice would be replaced in more than linear time.
    element.extend(child for _, child in placed)


def _replace(
    leaf: etree._Element, words: Mapping[str, str], replaced: list[tuple[etree._Element, str]]
) -> None:
    text = leaf.text or ""
    said = text.strip(SPACE)
    said = words.get(said.lower(), said)
    if said != text:
        replaced.append((leaf, text))
        leaf.text = said


def _words(
    schema: etree._Element, name: str, words: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """The synonyms, and the list's own words, which some write in capitals."""
    path = f"{XS}simpleType[@name='{name}']/{XS}restriction/{XS}enumeration"
    codes = [entry.get("value", "") for entry in schema.iterfind(path)]
    if wrong := set(words.values()) - set(codes):
        raise ProfileFileError(f"synonyms of {name}: it has no {', '.join(sorted(wrong))}")
    if len({code.lower() for code in codes}) < len(codes):
        raise ProfileFileError(f"synonyms of {name}: two of its codes differ in capitals only")
    own = {code.lower(): code for code in codes}
    if wrong := {word for word, code in words.items() if own.get(word.lower(), code) != code}:
        raise ProfileFileError(f"synonyms of {name}: {', '.join(sorted(wrong))}: codes themselves")
    yield from own.items()
    yield from ((word.lower(), code) for word, code in words.items())


def _elements(parent: etree._Element) -> Iterable[tuple[str, str]]:
    for element in parent.iterfind(f"{XS}element"):
        yield element.get("name", ""), element.get("type", "")
