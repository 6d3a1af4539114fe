"""For tests and trials: a gateway that does not need a router."""

from portmapper.testing.gateway import SimulatedGateway

__all__ = ["SimulatedGateway"]
