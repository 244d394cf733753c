"""Intake: validates, deduplicates and routes what systems send, exactly once."""

from streams.processors.intake.intake import NAME, Intake

__all__ = ["NAME", "Intake"]
