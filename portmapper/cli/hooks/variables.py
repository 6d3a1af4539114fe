"""What a hook is told: the variables of its environment."""

from portmapper.mapping import Mapping
from portmapper.model import Changed, Endpoint, Event, Lease, reachability


def hook_variables(event: Event) -> dict[str, str]:
    """Return the environment variables for an event. They hold addresses, numbers and names of ours, no free text."""
    lease = event.lease
    return {
        "PORTMAPPER_EVENT": type(event).__name__.lower(),
        **lease_variables(lease),
        **(_endpoint("PREVIOUS", event.old.external) if isinstance(event, Changed) else {}),
    }


def lease_variables(lease: Lease) -> dict[str, str]:
    """Return the environment variables for what was granted."""
    return {
        "PORTMAPPER_PROTOCOL": lease.request.protocol,
        **_endpoint("INTERNAL", lease.internal),
        **_endpoint("EXTERNAL", lease.external),
        "PORTMAPPER_BACKEND": lease.backend,
        "PORTMAPPER_GATEWAY": str(lease.gateway),
        "PORTMAPPER_LIFETIME": str(lease.lifetime),
        "PORTMAPPER_REACHABILITY": reachability(lease.external.address),
    }


def hook_name(mapping: Mapping, event: Event) -> str:
    """Return how a run of the hook is called in messages."""
    return f"the hook for {mapping.internal_port or 'all'}/{mapping.protocol} ({type(event).__name__.lower()})"


def _endpoint(which: str, endpoint: Endpoint) -> dict[str, str]:
    address = "" if endpoint.address is None else str(endpoint.address)
    return {f"PORTMAPPER_{which}_ADDRESS": address, f"PORTMAPPER_{which}_PORT": str(endpoint.port)}
