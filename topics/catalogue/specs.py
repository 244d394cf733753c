"""The topics that follow from interfaces, nouns and contexts.

Lives here: which topics exist, how each is configured and who may write it. Must not live
here: names (`topics.naming`), replicas and calls to a cluster (`topics.provision`).

Invariant: `rejected` and everything else behind intake can hold whatever inbound could.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from topics import naming
from topics.catalogue.model import Interface, Noun, Purpose, Sizing, TopicSpec

_DAY_MS: Final = 86_400_000

# Compaction works on closed segments only. A changelog is read as a whole when state is restored,
# so its open segment is kept to a day or 64 MiB, and compaction waits for no more than a day.
# Append time, because a broker refuses records whose own time is an hour ahead of its clock: with
# one clock wrong, good messages would be rejected for what their counters say.
_COMPACTED: Final = {
    "message.timestamp.type": "LogAppendTime",
    "segment.bytes": str(64 * 1024 * 1024),
    "segment.ms": str(_DAY_MS),
    "max.compaction.lag.ms": str(_DAY_MS),
}

# The longest window of a rule and the longest silence after it are a day each; one more, for clocks
# that differ. What was gathered is read within seconds; as long as that is what a stop may last.
_RULES_COUNT_DAYS: Final = 3

_KEPT_FOR_EVER: Final = {"cleanup.policy": "compact"}

_GATEWAYS: Final = frozenset({"gateway", "connector"})
_ENTERING: Final = _GATEWAYS | {"rules"}
_RULES: Final = frozenset({"rules"})
_INTAKE: Final = frozenset({"intake"})
_REGISTERS: Final = frozenset({"registers"})
_RESPONDER: Final = "responder"
_DELIVERING: Final = frozenset({"delivery"})
_ANSWERING: Final = frozenset({"delivery", "intake", "registers", _RESPONDER})


def topic_specs(
    interfaces: Mapping[str, Interface],
    nouns: Mapping[str, Noun],
    contexts: tuple[str, ...],
    sizing: Sizing,
) -> tuple[TopicSpec, ...]:
    """Give every topic, in order of name.

    Production has the four standing topics, queries, receipts, and the changelogs of intake,
    registers, responder and deliveries for each interface, and the log of each noun, planned ones
    too: who subscribes today need not come back. Parallel contexts have a single partition each,
    and only where an interface has something live to say.
    """
    specs: list[TopicSpec] = []
    for interface in interfaces.values():
        specs += _standing(interface, _sized(interface, sizing))
        specs += _intake_changelogs(interface, sizing)
        specs += _register_changelogs(interface, sizing)
        specs += _queries(interface, _sized(interface, sizing))
        specs += _delivery_topics(interface, sizing)
    for noun in nouns.values():
        specs += _noun_topics(noun, sizing)
    for context in contexts:
        specs += _parallel(context, interfaces.values(), nouns.values(), sizing)
    specs += _shared(sizing)
    specs += _of_rules(sizing)
    return tuple(sorted(specs, key=lambda spec: spec.name))


def _kept(retention_ms: int, value_bytes_max: int) -> dict[str, str]:
    # Append time, so that a log of old readings is kept as long as one of fresh readings, and the
    # dedup horizon does not depend on a sender's clock. `producer`: what is compressed stays so.
    return {
        "cleanup.policy": "delete",
        "compression.type": "producer",
        "max.message.bytes": str(value_bytes_max),
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(retention_ms),
    }


def _sized(interface: Interface, sizing: Sizing) -> Sizing:
    """The sizing with what the interface has of its own."""
    own = interface.message_bytes_max
    return sizing if own is None else replace(sizing, message_bytes_max=own)


def _behind_intake(sizing: Sizing) -> int:
    return sizing.message_bytes_max + 2 * sizing.header_bytes_max


def _standing(interface: Interface, sizing: Sizing) -> Iterator[TopicSpec]:
    entering = sizing.message_bytes_max + sizing.header_bytes_max
    leaving = _behind_intake(sizing)
    # Connectors write to `rejected` what is too large for inbound.
    rows: tuple[tuple[Purpose, str, int, frozenset[str]], ...] = (
        ("inbound", naming.inbound(interface.id), entering, _ENTERING),
        ("accepted", naming.accepted(interface.id), leaving, _INTAKE),
        ("outbound", naming.outbound(interface.id), leaving, _ANSWERING),
        (
            "rejected",
            naming.rejected(interface.id),
            leaving,
            _ENTERING | _INTAKE | _REGISTERS | _DELIVERING,
        ),
    )
    for purpose, name, bytes_max, writers in rows:
        yield TopicSpec(
            name=name,
            purpose=purpose,
            partitions=interface.partitions[purpose],
            config=_kept(sizing.retention_ms[purpose], bytes_max),
            writers=writers,
            interface=interface.id,
        )


def _intake_changelogs(interface: Interface, sizing: Sizing) -> Iterator[TopicSpec]:
    # State goes with its partition of inbound: as many partitions.
    partitions = interface.partitions["inbound"]
    stores = {"dedup": _forgetting(sizing), "counters": _KEPT_FOR_EVER}
    yield from _changelogs("intake", interface, stores, partitions, sizing)


def _register_changelogs(interface: Interface, sizing: Sizing) -> Iterator[TopicSpec]:
    partitions = interface.partitions["accepted"]
    stores = {
        "objects": _KEPT_FOR_EVER,
        "marks": _forgetting(sizing),
        "counters": _KEPT_FOR_EVER,
    }
    yield from _changelogs("registers", interface, stores, partitions, sizing)


def _queries(interface: Interface, sizing: Sizing) -> Iterator[TopicSpec]:
    """The queries about the nouns at home here, and which of them were answered."""
    # Spread by identity as on inbound, of which they are a part: as many partitions.
    partitions = interface.partitions["inbound"]
    yield TopicSpec(
        name=naming.requests(interface.id),
        purpose="requests",
        partitions=partitions,
        config=_kept(sizing.retention_ms["requests"], _behind_intake(sizing)),
        writers=_INTAKE,
        interface=interface.id,
    )
    stores = {"answered": _forgetting(sizing), "counters": _KEPT_FOR_EVER}
    yield from _changelogs(_RESPONDER, interface, stores, partitions, sizing)


def _delivery_topics(interface: Interface, sizing: Sizing) -> Iterator[TopicSpec]:
    # What is pending, and what destinations say of it, goes with its partition of outbound.
    partitions = interface.partitions["outbound"]
    yield from _changelogs("delivery", interface, {"pending": _KEPT_FOR_EVER}, partitions, sizing)
    yield TopicSpec(
        name=naming.receipts(interface.id),
        purpose="receipts",
        partitions=partitions,
        config=_kept(sizing.retention_ms["outbound"], _behind_intake(sizing)),
        writers=_DELIVERING | {"gateway"},
        interface=interface.id,
    )


def _forgetting(sizing: Sizing) -> Mapping[str, str]:
    return {
        "cleanup.policy": "compact,delete",
        "retention.ms": str(sizing.dedup_horizon_ms + sizing.dedup_slack_ms),
    }


def _changelogs(
    processor: str,
    interface: Interface,
    stores: Mapping[str, Mapping[str, str]],
    partitions: int,
    sizing: Sizing,
) -> Iterator[TopicSpec]:
    for store, policy in stores.items():
        yield TopicSpec(
            name=naming.changelog(processor, f"{store}-{interface.id.lower()}"),
            purpose="changelog",
            partitions=partitions,
            config={
                **policy,
                **_COMPACTED,
                # A mark may hold the reply that is given again, an object is its last event.
                "max.message.bytes": str(_behind_intake(sizing)),
            },
            writers=frozenset({processor}),
            interface=interface.id,
        )


def _noun_topics(noun: Noun, sizing: Sizing) -> Iterator[TopicSpec]:
    writers = _INTAKE if noun.kind == "history" else _REGISTERS
    yield TopicSpec(
        name=naming.noun_log(noun.home, noun.name),
        purpose="log",
        partitions=noun.partitions,
        config=_kept(noun.retention_ms, _behind_intake(sizing)),
        writers=writers,
        interface=noun.home,
        noun=noun.name,
    )
    if noun.kind == "register" and noun.profile is not None:
        yield TopicSpec(
            name=naming.current_log(noun.home, noun.name),
            purpose="current",
            partitions=noun.partitions,
            config={
                "cleanup.policy": "compact",
                **_COMPACTED,
                "max.message.bytes": str(_behind_intake(sizing)),
            },
            writers=writers,
            interface=noun.home,
            noun=noun.name,
        )


def _parallel(
    context: str, interfaces: Iterable[Interface], nouns: Iterable[Noun], sizing: Sizing
) -> Iterator[TopicSpec]:
    """Topics of training, tests and studies: derived from production's, one partition each."""
    live = [noun for noun in nouns if noun.profile is not None]
    homes = {noun.home for noun in live}
    for interface in interfaces:
        if interface.id in homes:
            for spec in _standing(interface, _sized(interface, sizing)):
                if spec.purpose == "outbound":
                    yield _beside(spec, naming.outbound(interface.id, context), context)
                elif spec.purpose == "rejected":
                    yield _beside(spec, naming.rejected(interface.id, context), context)
    for noun in live:
        for spec in _noun_topics(noun, sizing):
            name = naming.current_log if spec.purpose == "current" else naming.noun_log
            yield _beside(spec, name(noun.home, noun.name, context), context)


def _beside(spec: TopicSpec, name: str, context: str) -> TopicSpec:
    return replace(spec, name=name, partitions=1, context=context)


def _shared(sizing: Sizing) -> Iterator[TopicSpec]:
    yield TopicSpec(
        name=naming.AUDIT,
        purpose="audit",
        partitions=sizing.audit_partitions,
        config=_kept(sizing.retention_ms["audit"], _behind_intake(sizing)),
        writers=frozenset({"operator", "gateway", "connector", "delivery", "intake"}),
    )
    yield TopicSpec(
        name=naming.FILE_POSITIONS,
        purpose="positions",
        partitions=sizing.file_positions_partitions,
        config={"cleanup.policy": "compact", **_COMPACTED},
        writers=frozenset({"connector"}),
    )
    yield TopicSpec(
        name=naming.REPLAY_RUNS,
        purpose="changelog",
        partitions=1,  # one record per replay
        config={"cleanup.policy": "compact", **_COMPACTED},
        writers=frozenset({"operator"}),
    )


def _of_rules(sizing: Sizing) -> Iterator[TopicSpec]:
    """What rules count, the state of its groups, and what they failed on."""
    bytes_max = _behind_intake(sizing) + sizing.header_bytes_max
    gathered_ms = _RULES_COUNT_DAYS * _DAY_MS
    rows: tuple[tuple[Purpose, str, int, dict[str, str]], ...] = (
        ("gathered", naming.RULES_GATHERED, sizing.rules_partitions, _kept(gathered_ms, bytes_max)),
        ("failed", naming.RULES_FAILED, 1, _kept(sizing.retention_ms["rejected"], bytes_max)),
        (
            "changelog",
            naming.changelog("rules", "windows"),
            sizing.rules_partitions,
            {
                "cleanup.policy": "compact,delete",
                "retention.ms": str(gathered_ms),
                **_COMPACTED,
                "max.message.bytes": str(bytes_max),
            },
        ),
    )
    for purpose, name, partitions, config in rows:
        yield TopicSpec(name, purpose, partitions, config, writers=_RULES)


def side_spec(spec: TopicSpec, replay_id: str) -> TopicSpec:
    """The side log of a replay: like the log it stands for, written by the operator alone."""
    name = naming.replayed(replay_id, spec.name)
    return replace(spec, name=name, writers=frozenset({"operator"}))
