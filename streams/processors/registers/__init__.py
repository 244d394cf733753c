"""Registers: what may change the present state of an object, and what it is then."""

from streams.processors.registers.registers import NAME, Registers

__all__ = ["NAME", "Registers"]
