"""The machine and the real router that some tests need are those of the router tests."""

from tests.router.conftest import make_lab, router_machine

__all__ = ["make_lab", "router_machine"]
