"""A backend for portmapper around the C library miniupnpc."""

from portmapper_miniupnpc.backend import MiniupnpcBackend

__version__ = "0.1.0"

__all__ = ["MiniupnpcBackend"]
