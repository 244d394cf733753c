"""Measured throughput and latency: `make bench`, or `python -m benchmarks --help`."""
