"""Which text fields of the schemas say nothing of a person, so that a terminal may show them.

Lives here: their names, and nothing else. A text field that is not named here is masked: one of a
noun that was added yesterday, too. Codes of a list (enums), numbers and times are no text fields.
"""

from __future__ import annotations

from typing import Final

from schemas.avro import registered

PLAIN: Final = frozenset({
    "accessMethod", "accumulation", "activation_ConstraintDuration_duration", "aggregate",
    "alarmCode", "analogValues_value", "applicationType", "attributes", "auction_category",
    "auction_type", "authority", "authorityDescription", "baselineCondition", "billingCycle",
    "blockBid", "budgetBill", "businessType", "cancelControlMode", "catalogueNumber",
    "category", "cause", "causeKind", "certification", "cimNamespace", "class",
    "classification", "clause", "code", "codingScheme", "command", "commodity", "configID",
    "consumptionTier", "contract_MarketAgreement_type", "controlType", "costCode",
    "costCurrency", "country", "countryCode", "cpp", "criticalityLevel", "currency",
    "currency_Unit_name", "curveType", "customerGroup", "denominator", "deviceClass", "dialOut",
    "disconnectionMethod", "divisible", "documentKind", "domain", "drawingNumber", "edition",
    "endDeviceEventType", "energyPrice_Measurement_Unit_name", "enrollmentGroup",
    "enumerations", "ertSource", "eventOrAction", "exclusiveBidsIdentification",
    "failureReason", "firmwareID", "flowDirection", "flowDirection_direction", "formNumber",
    "hardwareID", "in_Quantity_quality", "inclusiveBidsIdentification", "initialCondition",
    "internationalPrefix", "interval", "jurisdiction", "kind", "language",
    "linkedBidsIdentification", "loadMgmt", "locale", "lotNumber", "macroPeriod",
    "manufacturer", "marketAgreement_type", "marketContext", "marketObjectStatus_status",
    "material", "maximum_ConstraintDuration_duration", "measurementKind", "measurementType",
    "measurement_Unit_name", "measuringPeriod", "mediaType", "messageID", "method",
    "minimum_ConstraintDuration_duration", "mktPSRType_psrType", "modelNumber", "modelVersion",
    "modelingAuthoritySet", "modificationReason", "multipartBidIdentification", "multiplier",
    "name", "numerator", "objectAggregation", "original_MarketProduct_marketProductType",
    "out_Quantity_quality", "outageAreaKind", "outageRegion", "payCycle", "paymentMethod",
    "phases", "priceTierLabel", "price_Measurement_Unit_name", "priority",
    "process_classificationType", "process_processType", "product", "productionLocation",
    "programID", "providerID", "purpose", "quality", "quantity_Measurement_Unit_name",
    "rateLabel", "readCycle", "readRoute", "readingType", "reason",
    "received_MarketDocument_process_processType", "received_MarketDocument_revisionNumber",
    "received_MarketDocument_type", "receiver_MarketParticipant_marketRole_type",
    "recommendedAction", "ref", "registerTier", "requiredCapabilities", "resolution",
    "resting_ConstraintDuration_duration", "result", "revisionNumber", "scale", "scenario",
    "seasonOfPeak", "sender_MarketParticipant_marketRole_type", "servicePriority", "severity",
    "sha256", "signalName", "sizeDescription", "sizeType", "source", "speciesType",
    "standard_MarketProduct_marketProductType", "standardIndustryCode", "styleNumber",
    "subCategory", "subDomain", "subType", "subject_MarketParticipant_marketRole_type",
    "systemId", "tagKind", "technology", "timeOfUse", "timeZone", "topic", "tou", "touTierName",
    "transmissionMode", "treatment", "triggerCondition", "troubleCode", "type",
    "typeDescription", "typeDesignation", "typeOfCooling", "unit", "unitName", "unitOfMeasure",
    "unitSymbol", "utilityDisclaimer", "value", "version", "weatherScenario", "xUnit", "y1Unit",
    "y2Unit", "y3Unit", "zoneKind",
})  # fmt: skip


def text_fields() -> frozenset[str]:
    """The names of all fields of all schemas that hold free text."""
    found: set[str] = set()
    for entry in registered():
        _collect(entry.raw, "", found)
    return frozenset(found)


def _collect(node: object, name: str, found: set[str]) -> None:
    if node == "string":
        found.add(name)
    elif isinstance(node, list):
        for branch in node:
            _collect(branch, name, found)
    elif isinstance(node, dict):
        for field in node.get("fields", ()):
            _collect(field["type"], field["name"], found)
        for key in ("type", "items", "values"):
            if key in node and "fields" not in node:
                _collect(node[key], name, found)
