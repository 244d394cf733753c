"""What the shipped catalogue says, and the questions that can be asked of it."""

from __future__ import annotations

import itertools

import pytest

from schemas.profiles import declared_names
from topics import Catalogue, load_catalogue, naming
from topics.catalogue import VERBS

# The nouns of each interface: home first, as the design's table has them.
HOMES = {
    "I1": {"Outages", "SwitchingPlans", "Alarms"},
    "I2": {"Assets", "AssetCatalogue", "NetworkDataSet"},
    "I3": {"LoadForecasts", "OptimizationSchedules", "StudyCases"},
    "I4": {"WorkOrders", "SwitchingOrders", "Crews"},
    "I5": {"LoadGrowths", "DERProposals", "CapacityStudies"},
    "I6": {"TroubleTickets", "ServiceRequests", "CustomerAgreementConfig"},
    "I7": {
        "MeterReadings", "EndDeviceControls", "EndDeviceEvents", "MeterConfig", "UsagePointConfig",
    },
    "I8": {
        "LoadProfiles", "DERGroups", "DERGroupForecasts", "DERGroupDispatches",
        "DemandResponseEvents",
    },
    "I9": {"Measurements", "Controls", "TimeSeries"},
    "I10": {
        "ReserveBid_MarketDocument", "Activation_MarketDocument", "Publication_MarketDocument",
        "EnergyAccount_MarketDocument", "Acknowledgement_MarketDocument",
    },
    "I11": {"ComplianceReports", "ComplianceEvents", "ReliabilityIndices"},
}  # fmt: skip
GUESTS = {
    ("I1", "Measurements"), ("I1", "Controls"), ("I4", "SwitchingPlans"), ("I6", "Outages"),
    ("I8", "EndDeviceControls"),
}  # fmt: skip


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def test_every_noun_has_the_home_that_the_design_gives_it(catalogue: Catalogue) -> None:
    homes: dict[str, set[str]] = {}
    for noun in catalogue.nouns.values():
        homes.setdefault(noun.home, set()).add(noun.name)
    assert homes == HOMES
    assert list(catalogue.interfaces) == list(HOMES)


def test_a_noun_enters_at_home_and_where_the_design_lets_it(catalogue: Catalogue) -> None:
    accepted = {
        (interface.id, noun)
        for interface in catalogue.interfaces.values()
        for noun in interface.accepts
    }
    assert accepted == {(home, noun) for home, nouns in HOMES.items() for noun in nouns} | GUESTS


def test_nouns_that_we_had_to_invent_do_not_use_the_standard_namespace(
    catalogue: Catalogue,
) -> None:
    for noun in catalogue.nouns.values():
        ours = [name for name in noun.namespaces if name.startswith("urn:cimstream:")]
        assert ours in ([], [f"urn:cimstream:{noun.name}:1"])
        # Others may have it under a name of their own.
        theirs = {
            name.rstrip("#").rpartition("/")[2] for name in noun.namespaces if name not in ours
        }
        assert not ours or theirs <= set(noun.aliases)
    assert catalogue.nouns["MeterReadings"].namespaces == (
        "http://iec.ch/TC57/2011/MeterReadings#",
    )


def test_no_payload_namespace_belongs_to_two_nouns(catalogue: Catalogue) -> None:
    owners = [name for noun in catalogue.nouns.values() for name in noun.namespaces]
    assert len(owners) == len(set(owners))


def test_a_noun_is_live_where_it_has_a_profile(catalogue: Catalogue) -> None:
    """Those that their folder declares are held to it in tests/unit/profiles/test_nouns.py."""
    live = {n.name: (n.profile, n.schema) for n in catalogue.nouns.values() if n.profile}
    assert {name: said for name, said in live.items() if said[0] not in declared_names()} == {
        "MeterReadings": ("meter_readings", "MeterReadingSeries"),
        "EndDeviceEvents": ("end_device_events", "EndDeviceEvent"),
        "NetworkDataSet": ("network_data_set", "CimObject"),
    }


@pytest.mark.parametrize(
    ("interface", "noun", "verb", "code"),
    [
        ("I7", "MeterReadings", "created", None),
        ("I7", "MeterReadings", "changed", None),
        ("I7", "MeterReadings", "create", None),
        ("I7", "MeterReadings", "reply", None),
        ("I7", "MeterReadings", "get", None),
        ("I7", "MeterConfig", "reply", "verb_planned"),
        ("I7", "MeterReadings", "delete", "verb_not_allowed"),
        ("I7", "MeterReadings", "observe", "verb_unknown"),
        ("I7", "EndDeviceEvents", "create", None),
        ("I7", "EndDeviceEvents", "execute", "verb_not_allowed"),
        ("I7", "EndDeviceControls", "execute", None),
        ("I2", "NetworkDataSet", "create", None),
        ("I2", "NetworkDataSet", "get", "verb_planned"),
        ("I6", "Outages", "created", None),
        ("I1", "MeterReadings", "created", "interface_not_allowed"),
        ("I7", "Meterreadings", "created", "noun_unknown"),
    ],
)
def test_a_message_that_may_not_enter_is_told_why(
    catalogue: Catalogue, interface: str, noun: str, verb: str, code: str | None
) -> None:
    assert catalogue.refusal(interface, noun, verb) == code


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("Meterreadings", "MeterReadings"),
        ("MeterReeding", "MeterReadings"),
        ("Metter", "MeterConfig"),
        ("PubOutage", "Outages"),
        ("WorkRequest", "WorkOrders"),
        ("MasterDataLinkageConfig", "UsagePointConfig or MeterConfig or CustomerAgreementConfig"),
        ("GL_MarketDocument", ""),
        ("Toasters", ""),
        ("MeterReading" * 100, ""),
    ],
)
def test_who_sends_a_noun_that_is_none_is_told_which_may_be_meant(
    catalogue: Catalogue, sent: str, meant: str
) -> None:
    assert catalogue.noun(sent) is None
    assert catalogue.instead(sent) == meant


def test_the_limits_are_those_of_the_design(catalogue: Catalogue) -> None:
    assert catalogue.sizing.message_bytes_max == 8 * 1024 * 1024
    assert catalogue.dedup_horizon_ms == 7 * 24 * 3600 * 1000
    assert catalogue.contexts == ("TRAINING", "TESTING", "DEVELOPMENT", "STUDY")


# --- topics -------------------------------------------------------------------------------------


def test_all_interfaces_have_their_standing_topics(catalogue: Catalogue) -> None:
    names = {spec.name for spec in catalogue.topics()}
    for interface in HOMES:
        assert {
            naming.inbound(interface),
            naming.accepted(interface),
            naming.outbound(interface),
            naming.rejected(interface),
        } <= names


def test_all_nouns_have_their_log_at_home(catalogue: Catalogue) -> None:
    logs = {spec.name: spec for spec in catalogue.topics() if spec.purpose == "log"}
    for home, nouns in HOMES.items():
        for noun in nouns:
            assert logs[naming.noun_log(home, noun)].noun == noun


def test_state_of_intake_has_as_many_partitions_as_its_inbound(catalogue: Catalogue) -> None:
    specs = {spec.name: spec for spec in catalogue.topics()}
    for interface in HOMES:
        inbound = specs[naming.inbound(interface)].partitions
        for store in ("dedup", "counters"):
            name = naming.changelog("intake", f"{store}-{interface.lower()}")
            assert specs[name].partitions == inbound


def test_marks_are_forgotten_after_the_horizon_and_inbound_is_kept_longer(
    catalogue: Catalogue,
) -> None:
    specs = {spec.name: spec for spec in catalogue.topics()}
    marks = specs["cim.intake.dedup-i7.changelog"].config
    assert marks["cleanup.policy"] == "compact,delete"
    kept_ms = catalogue.dedup_horizon_ms + catalogue.dedup_slack_ms
    assert int(marks["retention.ms"]) == kept_ms
    assert int(specs["cim.i7.inbound"].config["retention.ms"]) >= catalogue.dedup_horizon_ms
    assert specs["cim.i7.inbound"].config["message.timestamp.type"] == "LogAppendTime"


def test_every_topic_carries_the_time_of_its_broker(catalogue: Catalogue) -> None:
    """A broker refuses times an hour ahead of its own: a wrong clock would reject good ones."""
    types = {spec.config.get("message.timestamp.type") for spec in catalogue.topics()}
    assert types == {"LogAppendTime"}


def test_rejected_can_hold_whatever_inbound_could(catalogue: Catalogue) -> None:
    specs = {spec.name: int(spec.config.get("max.message.bytes", 0)) for spec in catalogue.topics()}
    for interface in HOMES:
        inbound = specs[naming.inbound(interface)]
        assert catalogue.bytes_max(interface) < inbound < specs[naming.rejected(interface)]


def test_parallel_contexts_exist_only_where_something_is_live(catalogue: Catalogue) -> None:
    parallel = [spec for spec in catalogue.topics() if spec.context != "PRODUCTION"]
    live = [noun for noun in catalogue.nouns.values() if noun.profile]
    assert {(spec.context, spec.noun) for spec in parallel if spec.noun} == set(
        itertools.product(catalogue.contexts, (noun.name for noun in live))
    )
    assert {(spec.context, spec.interface) for spec in parallel} == set(
        itertools.product(catalogue.contexts, {noun.home for noun in live})
    )
    assert {spec.partitions for spec in parallel} == {1}


def test_only_ways_in_may_write_inbound(catalogue: Catalogue) -> None:
    for spec in catalogue.topics():
        if spec.purpose == "inbound":
            assert spec.writers == {"gateway", "connector", "rules"}
        else:
            assert spec.writers


def test_one_dev_broker_can_hold_all_partitions(catalogue: Catalogue) -> None:
    assert sum(spec.partitions for spec in catalogue.topics()) < 1000


# --- patterns -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "pattern", "replies"),
    [
        (("event", "created", "MeterReadings", None, "", ""), "publish-subscribe", False),
        (("event", "created", "MeterReadings", True, "", ""), "publish-subscribe", True),
        (("event", "created", "MeterReadings", None, "http://x", ""), "publish-subscribe", True),
        (("event", "created", "MeterReadings", False, "http://x", ""), "publish-subscribe", False),
        (("event", "created", "EndDeviceEvents", None, "", ""), "publish-subscribe", False),
        (("event", "created", "Measurements", None, "", ""), "fire-forget", False),
        (("event", "created", "Outages", None, "", ""), "event-action", False),
        (("event", "created", "Outages", True, "", ""), "event-action", True),
        (("REQUEST", "create", "MeterReadings", None, "", ""), "request-response", True),
        (("request", "create", "MeterReadings", False, "", ""), "fire-forget", False),
        (("request", "create", "MeterReadings", False, "http://x", ""), "request-response", True),
        (("request", "get", "MeterReadings", None, "", ""), "query-response", True),
        (("request", "create", "Assets", None, "", ""), "create-update-delete", True),
        (("request", "create", "Assets", False, "", ""), "create-update-delete", True),
        (("request", "create", "WorkOrders", True, "", "CREW-1"), "send-receive", True),
        (("request", "create", "WorkOrders", True, "", ""), "create-update-delete", True),
        (("request", "execute", "EndDeviceControls", None, "", ""), "request-response", True),
        (("response", "reply", "MeterReadings", None, "", ""), "request-response", False),
        (("fault", "", "", None, "", ""), "request-response", False),
        (("request", "create", "NoSuchNoun", None, "", ""), "request-response", True),
        (("event", "created", "NoSuchNoun", None, "", ""), "publish-subscribe", False),
    ],
)
def test_the_table_decides_the_pattern(
    catalogue: Catalogue,
    message: tuple[str, str, str, bool | None, str, str],
    pattern: str,
    replies: bool,
) -> None:
    found = catalogue.pattern(*message)
    assert (found.name, found.replies) == (pattern, replies)


EVENT_VERBS = {"created", "changed", "canceled", "closed", "deleted", "executed"}


def _kind(verb: str) -> str:
    if verb == "reply":
        return "response"
    return "event" if verb in EVENT_VERBS else "request"


def test_a_noun_lists_exactly_the_patterns_that_its_messages_can_follow(
    catalogue: Catalogue,
) -> None:
    """The lists in the nouns and the table cannot drift apart."""
    for noun in catalogue.nouns.values():
        reached = {
            catalogue.pattern(_kind(verb), verb, noun.name, ack, address, destination).name
            for verb in noun.verbs | noun.planned_verbs
            for ack in (True, False, None)
            for address in ("", "queue")
            for destination in ("", "system")
        }
        assert set(noun.patterns) == reached, noun.name


def test_every_verb_of_the_standard_is_some_nouns(catalogue: Catalogue) -> None:
    used = frozenset().union(*(n.verbs | n.planned_verbs for n in catalogue.nouns.values()))
    assert used == VERBS


def test_what_makes_somebody_act_is_told_from_what_only_tells(catalogue: Catalogue) -> None:
    assert catalogue.commands("MeterReadings", "execute")
    assert catalogue.commands("NobodyKnowsThis", "execute")
    for noun in ("Controls", "EndDeviceControls", "DemandResponseEvents", "SwitchingOrders"):
        for verb in ("create", "change", "cancel", "close", "delete"):
            assert catalogue.commands(noun, verb)
        for verb in ("get", "reply", "created", "executed"):
            assert not catalogue.commands(noun, verb)
    for verb in ("create", "created", "change", "get"):
        assert not catalogue.commands("MeterReadings", verb)
