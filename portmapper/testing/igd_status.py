"""What a WAN connection service of a simulated gateway says of the connection itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from portmapper.testing.igd_calls import Call, Handler
from portmapper.testing.igd_switches import IgdSwitches, WanConnection


@dataclass(frozen=True, slots=True)
class Status:
    """Carries the actions out."""

    connection: WanConnection
    switches: IgdSwitches
    external_address: IPv4Address
    begin: float

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The actions by name."""
        return {
            "GetStatusInfo": self._get_status,
            "GetConnectionTypeInfo": self._get_type,
            "GetNATRSIPStatus": self._get_nat,
            "GetExternalIPAddress": self._get_address,
        }

    def _get_status(self, call: Call) -> dict[str, str]:
        uptime = self.connection.uptime
        return {
            "NewConnectionStatus": self.connection.status,
            "NewLastConnectionError": "ERROR_NONE",
            "NewUptime": str(int(call.now - self.begin)) if uptime is None else uptime,
        }

    def _get_type(self, call: Call) -> dict[str, str]:
        possible = "Unconfigured,IP_Routed,IP_Bridged"
        return {"NewConnectionType": self.connection.connection_type, "NewPossibleConnectionTypes": possible}

    def _get_nat(self, call: Call) -> dict[str, str]:
        return {"NewRSIPAvailable": "0", "NewNATEnabled": str(int(self.connection.nat_enabled))}

    def _get_address(self, call: Call) -> dict[str, str]:
        said = (self.connection.external_address, self.switches.external_address, str(self.external_address))
        return {"NewExternalIPAddress": next(one for one in said if one is not None)}
