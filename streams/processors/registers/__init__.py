"""Registers: what may change the present state of an object, and what it is then."""

from streams.processors.registers.registers import MODEL_OBJECTS_MAX, NAME, Registers

__all__ = ["MODEL_OBJECTS_MAX", "NAME", "Registers"]
