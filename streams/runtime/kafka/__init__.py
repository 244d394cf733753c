"""A real Apache Kafka for development and tests, without any installation of Kafka.

Lives here: the jars and their Java (`jars`), the broker's process (`process`), a broker in a
container (`container`), their templates. Must not live here: which of them is used and their
life from start to end (`streams.runtime.broker`).

Invariant: nothing here ends a process or removes a folder that it cannot prove to be its own.
"""
