"""What wires the parts together and keeps them running.

Lives here: settings, wiring, workers and their supervisor, metrics, health, a local broker.
Must not live here: what a message means or does (`schemas`, `streams.processors`).

Invariant: settings objects and the environment end here; the parts below get frozen values.
"""
