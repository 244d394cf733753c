"""AssetCatalogue in the words and namespaces of the utilities' own profile, misspelt or not."""

import pytest
from lxml import etree

from schemas.profiles import Outcome, declared

STANDARD = "http://iec.ch/TC57/2011/AssetCatalogue#"
NEWER = "http://digin.no/DIGIN/CIM100Extension/1/0#"
MISSPELT = "http://digin.no/DIGIN/CIM100Extenstion/1/0#"


def read(space: str, model: str) -> Outcome:
    text = f'<AssetCatalogue xmlns="{space}"><ProductAssetModel>{model}</ProductAssetModel>'
    payload = etree.fromstring(f"{text}</AssetCatalogue>")
    return declared("asset_catalogue").read(payload, "create")


@pytest.mark.parametrize(
    ("space", "model", "standard"),
    [
        (
            NEWER,
            "<WireInfo><mRID>w-1</mRID><weigthPerLength>3.85</weigthPerLength></WireInfo>",
            "<WireInfo><mRID>w-1</mRID><weightPerLength>3.85</weightPerLength></WireInfo>",
        ),
        (
            MISSPELT,
            (
                "<mRID>p-1</mRID><AssetSpecification><MetricInfo><metricKind>Universal</metricKind>"
                '<productWidth unit="m" multiplier="m">855</productWidth></MetricInfo>'
                "</AssetSpecification>"
            ),
            (
                "<mRID>p-1</mRID><AssetSpecification><MetricInfos><metricKind>universal</metricKind>"
                "<productWidth>0.855</productWidth></MetricInfos></AssetSpecification>"
            ),
        ),
    ],
)
def test_a_product_in_other_words_is_the_same_product(
    space: str, model: str, standard: str
) -> None:
    outcome = read(space, model)
    assert not outcome.rejected
    assert outcome.items == read(STANDARD, standard).items


@pytest.mark.parametrize(
    "space", [NEWER, MISSPELT, STANDARD, "http://digin.no/DIGIN/CIM100Extension/1/0"]
)
def test_a_type_that_is_named_in_the_document_is_that_of_its_own_namespace(space: str) -> None:
    """Children in another order are moved, which must not loosen the name from its namespace."""
    kind = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="m:SwitchInfo"'
    names = "<Names><name>ZS1</name></Names><isSinglePhase>false</isSinglePhase>"
    sheet = f"<SwitchInfo {kind}>{names}</SwitchInfo>"

    text = (
        f'<AssetCatalogue xmlns="{space}" xmlns:m="{space}">'
        f"<ProductAssetModel>{sheet}<mRID>p-1</mRID></ProductAssetModel></AssetCatalogue>"
    )
    outcome = declared("asset_catalogue").read(etree.fromstring(text), "create")
    assert not outcome.rejected
    other = etree.fromstring(text.replace("m:SwitchInfo", "m:WireInfo"))
    assert declared("asset_catalogue").read(other, "create").rejected


def test_a_product_that_only_its_data_sheet_names_has_the_key_of_the_data_sheet() -> None:
    sheet = "<SwitchInfo><Names><name>ZS1</name></Names></SwitchInfo>"
    outcome = read(NEWER, f"<AssetInfoContainer>{sheet}</AssetInfoContainer>")
    assert [item.key for item in outcome.items] == [b"||ZS1"]
    assert read(STANDARD, "<AssetInfoContainer/>").rejected[0].problems[0].code == (
        "object_unidentified"
    )


def test_an_element_that_neither_profile_has_is_refused_at_its_place() -> None:
    [rejected] = read(MISSPELT, "<mRID>p-1</mRID><colour>red</colour>").rejected
    assert [(problem.code, problem.xpath) for problem in rejected.problems] == [
        ("profile_violation", "/AssetCatalogue/ProductAssetModel/colour")
    ]
    assert rejected.namespace == MISSPELT
