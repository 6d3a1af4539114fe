"""Tell Transmission which port the VPN gave: a hook for `portmapper map --exec`.

    portmapper map 51413/both --gateway 10.2.0.1 --exec 'python3 transmission_port.py'

TRANSMISSION_URL (http://127.0.0.1:9091), TRANSMISSION_USER and TRANSMISSION_PASSWORD say where and who.
"""

import json
import os
import sys
import urllib.request
from base64 import b64encode
from urllib.error import HTTPError

URL = os.environ.get("TRANSMISSION_URL", "http://127.0.0.1:9091") + "/transmission/rpc"
USER, PASSWORD = os.environ.get("TRANSMISSION_USER", ""), os.environ.get("TRANSMISSION_PASSWORD", "")
ASK_WITH_TOKEN = 409
SECONDS = 10


def call(method: str, arguments: dict[str, object], token: str = "") -> None:
    body = json.dumps({"method": method, "arguments": arguments}).encode()
    login = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    headers = {"X-Transmission-Session-Id": token, "Authorization": f"Basic {login}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(URL, body, headers), timeout=SECONDS) as answer:
            result = json.load(answer)["result"]
    except HTTPError as error:  # the first answer is always this, with a token against forged requests
        if error.code != ASK_WITH_TOKEN or token:
            raise
        call(method, arguments, error.headers["X-Transmission-Session-Id"])
        return
    if result != "success":
        sys.exit(f"Transmission says: {result}")


if __name__ == "__main__":
    if os.environ["PORTMAPPER_EVENT"] in {"mapped", "restored", "changed"}:
        port = int(os.environ["PORTMAPPER_EXTERNAL_PORT"])
        # Its own port forwarding would ask the router of the house, past the VPN.
        call("session-set", {"peer-port": port, "peer-port-random-on-start": False, "port-forwarding-enabled": False})
        print(f"Transmission listens on port {port}")
