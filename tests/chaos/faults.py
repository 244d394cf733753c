"""How a scenario ends when it does not end well."""

from __future__ import annotations


class Anomaly(AssertionError):  # noqa: N818 - that is what it is
    """The promise was broken; the text names what was seen."""


class Stuck(Anomaly):
    """Something did not happen in the scenario's time: nothing may be stuck."""


class Blind(Exception):  # noqa: N818
    """A control run did not show the anomaly it must show: the check proves nothing."""


class Unfit(Exception):  # noqa: N818
    """This machine or cluster cannot run the scenario; the text says why."""
