"""For tests and trials: a gateway that does not need a router."""

from portmapper.testing.gateway import SimulatedGateway
from portmapper.testing.igd_switches import IgdSwitches, WanConnection
from portmapper.testing.pcp_server import PcpSwitches

__all__ = ["IgdSwitches", "PcpSwitches", "SimulatedGateway", "WanConnection"]
