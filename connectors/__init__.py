"""Bridges between the systems outside and the streams: one folder per system.

Lives here: the contract (`api`), what every inbound message goes through (`inbound`), how
connectors are found (`registry`), and one folder per system. Must not live here: Kafka
clients, transactions, what a message means. Connectors never import each other.
"""
