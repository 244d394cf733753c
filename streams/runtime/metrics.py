"""The metrics: names, labels, meaning. Labels are bounded: no mRID, no source, no peer.

Names follow Prometheus: `cimstream_<noun>_<unit>_total`. The counts of records come from
committed transactions only, so they are exact for the life of the process; the totals over
all time are in the counters changelogs (`cimstream stats`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

# A second line per series that nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY: Final = CollectorRegistry(auto_describe=True)

_MESSAGE: Final = ("interface", "context", "noun")
_PARTITION: Final = ("topic", "partition")

COUNTS: Final[Mapping[str, Counter]] = {
    "received": Counter(
        "cimstream_messages_received",
        "Messages taken from inbound topics",
        (*_MESSAGE, "code"),
        registry=REGISTRY,
    ),
    "produced": Counter(
        "cimstream_events_produced",
        "Canonical events written to noun logs",
        (*_MESSAGE, "code"),
        registry=REGISTRY,
    ),
    "duplicates": Counter(
        "cimstream_messages_duplicate",
        "Messages recognised as repeats, without effect",
        (*_MESSAGE, "code"),
        registry=REGISTRY,
    ),
    "rejected": Counter(
        "cimstream_messages_rejected",
        "Messages and single objects rejected, by stable error code",
        (*_MESSAGE, "code"),
        registry=REGISTRY,
    ),
    "misspelt": Counter(
        "cimstream_messages_misspelt",
        "Messages read although the namespace of their payload is none of the noun's",
        (*_MESSAGE, "code"),
        registry=REGISTRY,
    ),
    "replied": Counter(
        "cimstream_replies_produced",
        "Replies written to outbound topics",
        (*_MESSAGE, "code"),
        registry=REGISTRY,
    ),
    "answered": Counter(
        "cimstream_queries_answered",
        "Queries answered, by the code of the reply: 0.0 whole, 0.1 more follows, 0.2 partial",
        (*_MESSAGE, "code"),
        registry=REGISTRY,
    ),
    "unanswered": Counter(
        "cimstream_queries_unanswered",
        "Queries refused, or that a responder failed at, by stable error code",
        (*_MESSAGE, "code"),
        registry=REGISTRY,
    ),
    "repeated": Counter(
        "cimstream_queries_repeated",
        "Queries that were answered before: their senders are told where the reply is",
        (*_MESSAGE, "code"),
        registry=REGISTRY,
    ),
    "expired": Counter(
        "cimstream_queries_expired",
        "Queries that nobody waits for any more, and that were not answered",
        (*_MESSAGE, "code"),
        registry=REGISTRY,
    ),
    "rerouted": Counter(
        "cimstream_messages_rerouted",
        "Messages forwarded to the partition of their identity",
        (*_MESSAGE, "code"),
        registry=REGISTRY,
    ),
    "ruled": Counter(
        "cimstream_rule_events",
        "Events that a rule was about, by what became of them: fired, counted (in its group), "
        "quiet, late, own_effect, too_deep, failed",
        ("rule", "outcome"),
        registry=REGISTRY,
    ),
}
COMMIT_SECONDS: Final = Histogram(
    "cimstream_commit_seconds",
    "From the first record of a transaction to its commit",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
    registry=REGISTRY,
)
COMMITTED_RECORDS: Final = Counter(
    "cimstream_committed_records", "Input records whose effects are permanent", registry=REGISTRY
)
ABORTED: Final = Counter(
    "cimstream_transactions_aborted",
    "Transactions given up and repeated, by engine error code",
    ("code",),
    registry=REGISTRY,
)
LAG: Final = Gauge(
    "cimstream_lag_records", "Input records not yet processed", _PARTITION, registry=REGISTRY
)
RESTORE_REMAINING: Final = Gauge(
    "cimstream_restore_remaining_records",
    "Changelog records to read before a partition runs",
    _PARTITION,
    registry=REGISTRY,
)
RESTORED: Final = Counter(
    "cimstream_restored_records", "Changelog records read in restores", registry=REGISTRY
)
STATE_WIPED: Final = Counter(
    "cimstream_state_wiped",
    "Local stores thrown away and restored from their changelog",
    registry=REGISTRY,
)
STATE_BYTES: Final = Gauge(
    "cimstream_state_size_bytes", "Bytes of the local database on the disk", registry=REGISTRY
)
STATE_SWEPT: Final = Counter(
    "cimstream_state_swept_entries",
    "Entries past their horizon that were removed from local stores",
    registry=REGISTRY,
)
PARTITIONS: Final = Gauge(
    "cimstream_assigned_partitions", "Input partitions this worker holds", registry=REGISTRY
)
RULES: Final = Gauge("cimstream_rules", "Rules in force", registry=REGISTRY)
RULES_INVALID: Final = Gauge(
    "cimstream_rules_folder_invalid",
    "1 while the folder of rules has a mistake, and those read before are in force",
    registry=REGISTRY,
)
GATEWAY_REQUESTS: Final = Counter(
    "cimstream_gateway_requests",
    "Requests to the gateway, by what became of them: served, or the code of a refusal",
    ("interface", "outcome"),
    registry=REGISTRY,
)
GATEWAY_SECONDS: Final = Histogram(
    "cimstream_gateway_request_seconds",
    "From the head of a request to its response, the wait for a reply included",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
    registry=REGISTRY,
)
GATEWAY_REPLIES: Final = Counter(
    "cimstream_gateway_replies",
    "Replies that arrived: waited for, late (asked here, nobody waits), other (asked, but not "
    "here), unknown (nobody is known to have asked)",
    ("fate",),
    registry=REGISTRY,
)
GATEWAY_OPEN: Final = Gauge(
    "cimstream_gateway_open_requests", "Requests being worked on", registry=REGISTRY
)
GATEWAY_SUBSCRIPTIONS: Final = Gauge(
    "cimstream_gateway_open_subscriptions", "Subscriptions being served", registry=REGISTRY
)
GATEWAY_EVENTS: Final = Counter(
    "cimstream_gateway_events",
    "Events handed to subscribers, once for each of them, by the home of their noun",
    ("interface",),
    registry=REGISTRY,
)
DELIVERY_ATTEMPTS: Final = Counter(
    "cimstream_delivery_attempts",
    "Attempts to deliver a message, by what became of them: done, taken, again, unknown, refused",
    ("destination", "outcome"),
    registry=REGISTRY,
)
DELIVERY_ATTEMPT_SECONDS: Final = Histogram(
    "cimstream_delivery_attempt_seconds",
    "One attempt, from its first byte to the answer",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
    registry=REGISTRY,
)
DELIVERIES: Final = Counter(
    "cimstream_deliveries",
    "Deliveries that are over, by their fate: delivered, or the code of the dead letter",
    ("destination", "fate"),
    registry=REGISTRY,
)
DELIVERY_SECONDS: Final = Histogram(
    "cimstream_delivery_seconds",
    "From a message's place on outbound to its end",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600, 3600, 86400),
    registry=REGISTRY,
)
DELIVERY_PENDING: Final = Gauge(
    "cimstream_delivery_pending_messages",
    "Messages that wait for a destination or its receipt, of the partitions that this process has",
    ("destination",),
    registry=REGISTRY,
)
DELIVERY_OLDEST: Final = Gauge(
    "cimstream_delivery_oldest_seconds",
    "Age of the oldest of them",
    ("destination",),
    registry=REGISTRY,
)
GATEWAY_ACCESS_FILE: Final = Gauge(
    "cimstream_gateway_access_file_valid",
    "1, or 0 while the access file has a mistake and the one before it holds",
    registry=REGISTRY,
)
VIEW_APPLIED: Final = Counter(
    "cimstream_view_records", "Records of logs whose rows are in the view", registry=REGISTRY
)
VIEW_APPLY_SECONDS: Final = Histogram(
    "cimstream_view_apply_seconds",
    "Decoding a batch and its database transaction",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
    registry=REGISTRY,
)
VIEW_LAG: Final = Gauge(
    "cimstream_view_lag_offsets",
    "Offsets between the view and the end of a log",
    ("topic",),
    registry=REGISTRY,
)
VIEW_FLOOR: Final = Gauge(
    "cimstream_view_floor_seconds",
    "Append time from which on the view keeps histories, Unix seconds",
    registry=REGISTRY,
)
VIEW_TRIMMED: Final = Counter(
    "cimstream_view_trimmed_rows", "Rows that left the window of histories", registry=REGISTRY
)
VIEW_UNREADABLE: Final = Counter(
    "cimstream_view_records_unreadable",
    "Records of logs that are no events of ours and were passed over",
    registry=REGISTRY,
)
VIEW_SIZE: Final = Gauge(
    "cimstream_view_size_bytes", "Bytes of the view's database", registry=REGISTRY
)
