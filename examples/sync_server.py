"""A server without any event loop that opens its own port for as long as it runs.

    python examples/sync_server.py

Ends after the first visitor, or at Ctrl-C; the port is closed in every case.
"""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import portmapper
from portmapper import sync

PAGE = b"Hello from behind the router.\n"


class Handler(BaseHTTPRequestHandler):
    """Answers every request with the same page."""

    def do_GET(self) -> None:
        """Send the page."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


def serve(gateway: portmapper.Gateway | None = None) -> None:
    with HTTPServer(("", 0), Handler) as server, sync.open_mapping(server.server_port, gateway=gateway) as mapping:
        print(f"visit http://{mapping.external}/ (by {mapping.backend.title}, {mapping.reachability})", flush=True)
        server.handle_request()
    for event in mapping.events():
        print(f"{type(event).__name__.lower()} at {event.lease.external}")


if __name__ == "__main__":
    try:
        serve()
    except portmapper.PortMapperError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
