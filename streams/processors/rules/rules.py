"""Rules: an event that matches makes a message, once.

Lives here: the order of decisions for one event and one rule.

    a replay's, too old?  -> nothing
    not of this rule?     -> nothing: another verb or interface, earlier than the rule, `when` false
    its own effect?       -> held: the rule acted in the chain that led here, or the chain is full
    a rule with a window? -> to the partition of its group, where it is counted
    else                  -> the message, on inbound of its interface
    no value?             -> to the failed, with rule and place; the line goes on

Must not live here: what a rule says (see `files`), reading its file again, clocks.

Events of one group lie on all partitions of a log, so what is counted goes through a topic of its
own, keyed by the group: `cim.rules.gathered`. Only logs of production are read, so no other context
fires.

Invariant: what an event makes is in one transaction with its offset, and a function of the event,
the rules and the state of its group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from schemas.avro import decode
from schemas.errors import CODES
from schemas.profiles import DOCUMENTS
from streams.engine.processor import Context, Horizon, StoreSpec
from streams.engine.record import Headers, Output, Record
from streams.processors.replay.outlets import REPLAY_ID
from streams.processors.rules import fields
from streams.processors.rules.actions import action_id, event_id, make
from streams.processors.rules.chain import Chain
from streams.processors.rules.expressions import Expression, ExpressionError
from streams.processors.rules.files import WITHIN_MAX_S, Rules
from streams.processors.rules.rule import Rule, Window
from streams.processors.rules.windows import Cluster, Group, time_of
from topics import Catalogue, naming
from topics.chains import CHAIN
from topics.rejection import rejection_headers

NAME: Final = "rules"
WINDOWS: Final = "windows"
_DAY_MS: Final = 86_400_000
# Longest window and longest silence after it; a day more, for clocks that differ.
GROUPS: Final = Horizon(2 * WITHIN_MAX_S * 1000, _DAY_MS, time_of)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# What a counted event carries to its group.
_RULE: Final = "cimstream_rule"
_VERSION: Final = "cimstream_ruleversion"
_PLACE: Final = "cimstream_event"
_LOGGED: Final = "cimstream_eventlogged"
_MEMBER: Final = "cimstream_member"
_TIME: Final = "cimstream_membertime"
_OWN: Final = frozenset({_RULE, _VERSION, _PLACE, _LOGGED, _MEMBER, _TIME})

Values = dict[str, object]


@dataclass(frozen=True, slots=True)
class Event:
    """An event with the rules that may be about it; `record` is the one on its noun's log."""

    record: Record
    headers: Mapping[str, bytes]
    values: Values
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """An event that came to its group."""

    event: Event
    member: str
    time_ms: int


class RuleProcessor:
    """See `streams.engine.processor.Processor`."""

    name = NAME

    def __init__(self, catalogue: Catalogue, rules: Rules, *, not_before_ms: int = 0) -> None:
        """Events that the log took before `not_before_ms` (epoch ms UTC) are not evaluated."""
        self._catalogue = catalogue
        self._not_before_ms = not_before_ms
        self._entered = {naming.inbound(i): i for i in catalogue.interfaces}
        self._logs = {
            naming.noun_log(noun.home, noun.name): noun.name
            for noun in catalogue.nouns.values()
            if noun.schema is not None and noun.profile not in DOCUMENTS
        }
        self._rules: Rules = {}
        self._of: dict[tuple[str, str], tuple[Rule, ...]] = {}
        self.use(rules)
        windows = StoreSpec(WINDOWS, naming.changelog(NAME, WINDOWS), GROUPS)
        self.inputs: Mapping[str, tuple[StoreSpec, ...]] = {
            **dict.fromkeys(self._logs, ()),
            naming.RULES_GATHERED: (windows,),
        }

    @property
    def logs(self) -> frozenset[str]:
        """The logs that the rules are about."""
        nouns = {noun for noun, _ in self._of}
        return frozenset(log for log, noun in self._logs.items() if noun in nouns)

    def use(self, rules: Rules) -> None:
        """From the next record on evaluate these rules."""
        self._rules = rules
        self._of = {}
        for rule in sorted(rules.values(), key=lambda rule: rule.name):
            for verb in rule.match.verbs:
                at = rule.match.noun, verb
                self._of[at] = (*self._of.get(at, ()), rule)

    def heavy(self, record: Record) -> bool:  # noqa: ARG002 - none is
        """An event is bounded by the size of a message."""
        return False

    def prepare(self, records: Sequence[Record]) -> Sequence[Event | Counted | None]:
        """Decode those that a rule may be about."""
        return [self._prepared(record) for record in records]

    def process(self, record: Record, prepared: Event | Counted | None, context: Context) -> None:
        """Evaluate the rules of one event."""
        match prepared:
            case Event():
                for rule in prepared.rules:
                    self._evaluate(rule, prepared, context)
            case Counted():
                self._count(record, prepared, context)
            case None:
                pass

    def reject(
        self, record: Record, code: str, reason: str, context: Context, *, with_value: bool
    ) -> None:
        """What the engine asks for when a record broke us or the broker."""
        rule = dict(record.headers).get(_RULE, b"").decode(errors="replace")
        _note(rule, "failed", context)
        value = record.value if with_value else b""
        context.emit(_failure(record._replace(value=value), code, reason, ()))

    # ---------------------------------------------------------------- reading

    def _prepared(self, record: Record) -> Event | Counted | None:
        headers = dict(record.headers)
        if record.value is None or record.timestamp_ms < self._not_before_ms:
            return None
        if REPLAY_ID in headers:
            return None
        if record.topic == naming.RULES_GATHERED:
            return self._counted(record, headers)
        noun, verb = self._logs[record.topic], headers.get("ce_verb", b"").decode()
        rules = tuple(
            rule for rule in self._of.get((noun, verb), ()) if record.timestamp_ms >= rule.since_ms
        )
        return self._event(record, headers, rules) if rules else None

    def _counted(self, record: Record, headers: Mapping[str, bytes]) -> Counted | None:
        """None where the rule that counts is gone, or has another version by now."""
        rule = self._rules.get(headers[_RULE].decode())
        if rule is None or rule.window is None or str(rule.version).encode() != headers[_VERSION]:
            return None
        event = self._event(_event_record(record, headers), headers, (rule,))
        return Counted(event, headers[_MEMBER].decode(), int(headers[_TIME]))

    def _event(
        self, record: Record, headers: Mapping[str, bytes], rules: tuple[Rule, ...]
    ) -> Event:
        schema, decoded = decode(record.value or b"")
        values: Values = {
            **fields.values(schema, decoded),
            **self._message(record, headers, decoded["provenance"]),
        }
        return Event(record, headers, values, rules)

    def _message(
        self, record: Record, headers: Mapping[str, bytes], provenance: Mapping[str, Any]
    ) -> Values:
        correlation = headers.get("ce_correlationid")
        return {
            "message.id": provenance["messageID"],
            "message.source": provenance["source"],
            "message.interface": self._entered.get(provenance["topic"], ""),
            "message.verb": headers.get("ce_verb", b"").decode(),
            "message.correlationID": correlation.decode() if correlation is not None else None,
            "message.loggedAt": _EPOCH + record.timestamp_ms * _MILLISECOND,
        }

    # --------------------------------------------------------------- deciding

    def _evaluate(self, rule: Rule, event: Event, context: Context) -> None:
        try:
            if not _matches(rule, event.values):
                return
            chain = Chain.of(event.record)
            if chain.has(rule.name) or chain.full:
                _note(rule.name, "own_effect" if chain.has(rule.name) else "too_deep", context)
            elif rule.window is not None:
                self._gather(rule, rule.window, event, context)
            else:
                self._act(rule, event, None, context)
        except ExpressionError as error:
            self._fail(rule, event, str(error), context)

    def _gather(self, rule: Rule, window: Window, event: Event, context: Context) -> None:
        """To the partition of its group, with all that is needed there."""
        key, member = (e.evaluate(event.values) for e in (window.key, window.member))
        if not key or not member:
            return
        carried = {
            _RULE: rule.name,
            _VERSION: str(rule.version),
            _PLACE: str(event.record),
            _LOGGED: str(event.record.timestamp_ms),
            _MEMBER: str(member),
            _TIME: str(_time_ms(window.time, event)),
        }
        headers = tuple((name, text.encode()) for name, text in carried.items())
        group = f"{rule.name}|{rule.version}|{key}".encode()
        value, headers = event.record.value, (*event.record.headers, *headers)
        context.emit(Output(naming.RULES_GATHERED, group, value, headers))

    def _count(self, record: Record, counted: Counted, context: Context) -> None:
        """Count the event in its group; fire where that makes it enough."""
        (rule,) = counted.event.rules
        key, window = record.key or b"", rule.window
        if window is None:
            raise ValueError("only rules with a window count")
        group = Group.unpack(context.get(WINDOWS, key))
        outcome, cluster = group.add(counted.member, counted.time_ms, window.span)
        context.put(WINDOWS, key, group.pack(record.timestamp_ms))
        if cluster is None:
            _note(rule.name, outcome, context)
            return
        try:
            self._act(rule, counted.event, (key, cluster), context)
        except ExpressionError as error:
            self._fail(rule, counted.event, str(error), context)

    def _act(
        self, rule: Rule, event: Event, found: tuple[bytes, Cluster] | None, context: Context
    ) -> None:
        values = {
            **event.values,
            "action.id": action_id(rule, event_id(event.headers)),
            **({} if found is None else _window_values(*found)),
        }
        chain = Chain.of(event.record).with_link(str(event.record), rule.name, rule.version)
        context.emit(make(rule, values, event.record, chain, self._catalogue))
        _note(rule.name, "fired", context)

    def _fail(self, rule: Rule, event: Event, why: str, context: Context) -> None:
        own: Headers = ((_RULE, rule.name.encode()), (_VERSION, str(rule.version).encode()))
        reason = f"rule {rule}: {why}"
        context.emit(_failure(event.record, "rule_failed", reason, own))
        _note(rule.name, "failed", context)


def _matches(rule: Rule, values: Values) -> bool:
    match = rule.match
    if match.interfaces and values["message.interface"] not in match.interfaces:
        return False
    if match.when is None:
        return True
    found = match.when.evaluate(values)
    if not isinstance(found, bool):
        raise ExpressionError("`when` is neither true nor false")
    return found


def _time_ms(time: Expression | None, event: Event) -> int:
    """When it happened, but never later than the log took it."""
    logged_ms = event.record.timestamp_ms
    said = None if time is None else time.evaluate(event.values)
    if not isinstance(said, datetime):
        return logged_ms
    return min((said - _EPOCH) // _MILLISECOND, logged_ms)


def _window_values(key: bytes, cluster: Cluster) -> Values:
    return {
        "window.key": key.decode().split("|", 2)[2],
        "window.members": list(cluster.members),
        "window.start": _EPOCH + cluster.start_ms * _MILLISECOND,
        "window.end": _EPOCH + cluster.end_ms * _MILLISECOND,
    }


def _event_record(record: Record, headers: Mapping[str, bytes]) -> Record:
    """The event's record as it lies on its noun's log."""
    topic, _, place = headers[_PLACE].decode().rpartition("/")
    partition, offset = place.split("@")
    return record._replace(
        topic=topic,
        partition=int(partition),
        offset=int(offset),
        timestamp_ms=int(headers[_LOGGED]),
        headers=tuple(h for h in record.headers if h[0] not in _OWN),
    )


def _failure(record: Record, code: str, why: str, own: Headers) -> Output:
    """The event that a rule failed on, with why."""
    kept = tuple(_carried(record.headers))
    told = rejection_headers(
        CODES[code],
        why=why,
        where=str(record),
        topic=record.topic,
        stage="PROCESSING",
        partition=record.partition,
        offset=record.offset,
    )
    return Output(naming.RULES_FAILED, record.key, record.value, (*kept, *told, *own))


def _carried(headers: Headers) -> Iterator[tuple[str, bytes]]:
    for name, value in headers:
        if name.startswith("ce_") or name in ("content-type", "traceparent", CHAIN):
            yield name, value


def _note(rule: str, outcome: str, context: Context) -> None:
    context.count("ruled", rule, outcome)
