"""The main job in one minute, on a simulated gateway: what `make run` shows.

A small web server listens on this host; `portmapper map` opens its port; a page is fetched through the external port;
the command is interrupted; the external port is closed again. On a real network leave out --simulate.
"""

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import URLError

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


def main() -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    print(f"1. A web server listens on 127.0.0.1:{port}.")
    try:
        return open_fetch_close(port)
    finally:
        server.shutdown()
        server.server_close()


def open_fetch_close(port: int) -> int:
    command = ["portmapper", "map", str(port), "--simulate", "--json"]
    print(f"2. Opening its port:  {' '.join(command)}")
    with subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        mapped = json.loads(process.stdout.readline())
        external = f"http://{mapped['external']['address']}:{mapped['external']['port']}/"
        print(f"3. {mapped['backend']} on the gateway {mapped['gateway']} opened {external}.")
        page = fetch(external)
        print(f"4. Through the external port came: {page!r}")
        process.send_signal(signal.SIGINT)
        closed = json.loads(process.stdout.readline())
    print(f"5. Interrupted: the command says {closed['event']!r} and ends with {process.returncode} (128 + SIGINT).")
    gone = fetch(external) is None
    print(f"6. The external port is {'closed again' if gone else 'STILL OPEN'}.")
    return 0 if (page, closed["released"], process.returncode, gone) == (PAGE, True, 130, True) else 1


def fetch(url: str) -> bytes | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            body: bytes = response.read()
            return body
    except URLError:
        return None


if __name__ == "__main__":
    sys.exit(main())
