"""For tests and lessons alike."""

from tests.solutions import pytest_collection_modifyitems

__all__ = ["pytest_collection_modifyitems"]
