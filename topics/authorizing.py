"""Make a cluster's access control lists what the catalogue asks for: plan, then apply.

Lives here: the admin calls for them. Must not live here: which there should be (`topics.acls`),
printing.

Invariant: nothing is removed unless that is asked for, and then nothing but what is about
cimstream's own topics and was not asked for by the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from topics.acls import PREFIX, Binding, Kind
from topics.errors import EXIT_FAILED
from topics.provision import Admin, ProvisionError, translated

_REQUEST_S: Final = 30.0
# Of a cluster with thousands of bindings, what one request should carry.
_AT_ONCE: Final = 500

_KINDS: Final[Mapping[Kind, ResourceType]] = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,
}
_KIND_OF: Final = {there: ours for ours, there in _KINDS.items()}
_ANY_HOST: Final = "*"


class _Found(NamedTuple):
    """A binding of the cluster, as the library gives it, with types."""

    kind: ResourceType
    name: str
    pattern: ResourcePatternType
    principal: str
    host: str
    operation: AclOperation
    permission: AclPermissionType


@dataclass(frozen=True, slots=True)
class Foreign:
    """A binding about cimstream's topics that the catalogue does not ask for.

    `removable`: it is about them alone, so `apply` removes it where it is told to.
    """

    said: str
    removable: bool
    found: _Found


@dataclass(frozen=True, slots=True)
class AclPlan:
    """What is to be allowed, what is there already, and what else there is, in order."""

    missing: tuple[Binding, ...]
    there: tuple[Binding, ...]
    foreign: tuple[Foreign, ...]


def plan_acls(admin: Admin, wanted: Iterable[Binding]) -> AclPlan:
    """Compare the cluster with what is wanted. Changes nothing.

    Raises:
        ProvisionError: `acls_disabled` where the cluster has no authorizer; `broker_unavailable`,
            `broker_refused`.
    """
    asked = set(wanted)
    there: set[Binding] = set()
    foreign: list[Foreign] = []
    for found in _all(admin):
        ours = _ours(found)
        if ours in asked:
            there.add(ours)
        elif _touches_topics(found):
            foreign.append(Foreign(_said(found), found.name.startswith(PREFIX), found))
    return AclPlan(
        tuple(sorted(asked - there)),
        tuple(sorted(there)),
        tuple(sorted(foreign, key=lambda one: one.said)),
    )


def apply_acls(admin: Admin, todo: AclPlan, *, prune: bool) -> int:
    """Allow what is missing; with `prune`, remove what is foreign and removable. Gives how many.

    Allowed first: whoever is renamed is never without.

    Raises:
        ProvisionError: as `plan_acls`; what was done until then stays.
    """
    creating = [_theirs(binding) for binding in todo.missing]
    for start in range(0, len(creating), _AT_ONCE):
        part = creating[start : start + _AT_ONCE]
        _await(admin, admin.client.create_acls(part, request_timeout=_REQUEST_S))
    removing = [one.found for one in todo.foreign if prune and one.removable]
    filters = [AclBindingFilter(*found) for found in removing]
    for start in range(0, len(filters), _AT_ONCE):
        several = filters[start : start + _AT_ONCE]
        _await(admin, admin.client.delete_acls(several, request_timeout=_REQUEST_S))
    return len(creating) + len(filters)


def _all(admin: Admin) -> list[_Found]:
    anything: Any = None  # the library's types do not know it
    every = AclBindingFilter(
        ResourceType.ANY, anything, ResourcePatternType.ANY, anything, anything,
        AclOperation.ANY, AclPermissionType.ANY,
    )  # fmt: skip
    try:
        future = admin.client.describe_acls(every, request_timeout=_REQUEST_S)
        found: list[AclBinding] = future.result(2 * _REQUEST_S)
    except KafkaException as error:
        raise _failure(error, admin) from error
    if not found and _without_authorizer(admin):
        raise _disabled(admin)
    return [
        _Found(
            ResourceType(binding.restype_int),
            binding.name,
            ResourcePatternType(binding.resource_pattern_type_int),
            binding.principal,
            binding.host,
            AclOperation(binding.operation_int),
            AclPermissionType(binding.permission_type_int),
        )
        for binding in found
    ]


def _await(admin: Admin, futures: Mapping[Any, Future[Any]]) -> None:
    for future in futures.values():
        try:
            future.result(2 * _REQUEST_S)
        except KafkaException as error:
            raise _failure(error, admin) from error


def _without_authorizer(admin: Admin) -> bool:
    """Whether a broker says so. Asked for its lists, it has none, which is no error (4.3.1)."""
    try:
        broker = min(admin.client.list_topics(timeout=_REQUEST_S).brokers)
        asked = ConfigResource(ResourceType.BROKER, str(broker))
        said = admin.client.describe_configs([asked], request_timeout=_REQUEST_S)[asked].result()
    except KafkaException as error:
        raise _failure(error, admin) from error
    entry = said.get("authorizer.class.name")
    return entry is not None and not entry.value


def _failure(error: KafkaException, admin: Admin) -> ProvisionError:
    if error.args[0].code() == KafkaError.SECURITY_DISABLED:
        return _disabled(admin)
    return translated(error, f"{admin.bootstrap}, access control lists")


def _disabled(admin: Admin) -> ProvisionError:
    return ProvisionError(
        "acls_disabled",
        what="the cluster keeps no access control lists: everybody may do everything",
        where=admin.bootstrap,
        fix="give its brokers an authorizer.class.name, and a super user",
        exit_code=EXIT_FAILED,
    )


def _theirs(binding: Binding) -> AclBinding:
    return AclBinding(
        _KINDS[binding.kind],
        binding.name,
        ResourcePatternType.PREFIXED if binding.prefixed else ResourcePatternType.LITERAL,
        binding.principal,
        _ANY_HOST,
        AclOperation[binding.operation.replace("-", "_").upper()],
        AclPermissionType.ALLOW,
    )


def _ours(found: _Found) -> Binding | None:
    """None for what is never wanted: for one host, denied, of another kind."""
    kind = _KIND_OF.get(found.kind)
    usual = found.host == _ANY_HOST and found.permission == AclPermissionType.ALLOW
    if kind is None or not usual:
        return None
    prefixed = found.pattern == ResourcePatternType.PREFIXED
    return Binding(found.principal, _word(found.operation), kind, found.name, prefixed)


def _touches_topics(found: _Found) -> bool:
    """Whether it allows or denies something about a topic of cimstream."""
    if found.kind != ResourceType.TOPIC:
        return False
    wider = found.pattern == ResourcePatternType.PREFIXED and PREFIX.startswith(found.name)
    return wider or found.name == "*" or found.name.startswith(PREFIX)


def _said(found: _Found) -> str:
    more = "…" if found.pattern == ResourcePatternType.PREFIXED else ""
    host = "" if found.host == _ANY_HOST else f" from {found.host}"
    permission = found.permission.name.lower()
    return f"{found.principal}{host} {permission} {_word(found.operation)} topic {found.name}{more}"


def _word(operation: AclOperation) -> str:
    return operation.name.replace("_", "-").lower()
