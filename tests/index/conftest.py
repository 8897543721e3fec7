"""What the tests of the index share: small networks gain nothing from two threads in one operation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.index.workshop import Workshop


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Builds indexes in processes that can be killed."""
    found = Workshop(tmp_path_factory.mktemp("workshop"))
    yield found
    found.close()
