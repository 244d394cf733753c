"""The processor that answers queries: see `responder`."""

from streams.processors.responder.responder import NAME, Asked, Responding

__all__ = ["NAME", "Asked", "Responding"]
