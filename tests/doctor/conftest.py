"""The machine that the situations need is the one that the router tests need."""

from tests.router.conftest import router_machine

__all__ = ["router_machine"]
