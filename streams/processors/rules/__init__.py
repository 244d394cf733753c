"""Rules: events that match make messages. See `rules`."""

from streams.processors.rules.files import SHIPPED, RuleFileError, Rules, read_folder
from streams.processors.rules.rules import NAME, RuleProcessor

__all__ = ["NAME", "SHIPPED", "RuleFileError", "RuleProcessor", "Rules", "read_folder"]
