"""A gateway beside each test."""

from tests.aside import simulated

__all__ = ["simulated"]
