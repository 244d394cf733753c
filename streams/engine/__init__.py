"""The engine: exactly-once processing of records, with state, and nothing else.

Knows bytes, keys, partitions, offsets and stores. It imports no other package of ours.
"""
