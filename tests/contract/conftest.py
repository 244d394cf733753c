"""Every contract test runs on the fake broker and, marked integration, on a real Kafka."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.clusters import FakeSubject, Subject, real


@pytest.fixture(params=["fake", pytest.param("kafka", marks=pytest.mark.integration)])
def cluster(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """The cluster under test."""
    if request.param == "fake":
        yield FakeSubject()
        return
    with real(request.getfixturevalue("kafka")) as subject:
        yield subject
