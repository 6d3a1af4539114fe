"""Tell qBittorrent which port the VPN gave: a hook for `portmapper map --exec`.

    portmapper map 51413/both --gateway 10.2.0.1 --exec 'python3 qbittorrent_port.py'

QBITTORRENT_URL (http://127.0.0.1:8080), QBITTORRENT_USER (admin) and QBITTORRENT_PASSWORD say where and who; without a
password none is sent, for a Web UI that lets this host in without.
"""

import json
import os
import sys
import urllib.request
from http.cookiejar import CookieJar
from urllib.parse import urlencode

URL = os.environ.get("QBITTORRENT_URL", "http://127.0.0.1:8080")
USER, PASSWORD = os.environ.get("QBITTORRENT_USER", "admin"), os.environ.get("QBITTORRENT_PASSWORD", "")
SECONDS = 10

session = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
session.addheaders = [("Referer", URL)]  # it refuses what may come from another site


def post(path: str, **fields: str) -> str:
    with session.open(f"{URL}/api/v2/{path}", urlencode(fields).encode(), timeout=SECONDS) as answer:
        text: str = answer.read().decode()
        return text


def listen_on(port: int) -> None:
    # A wrong password is answered with 401 by version 5.2, and with "Fails." before; a right one with 204, or "Ok."
    if PASSWORD and post("auth/login", username=USER, password=PASSWORD) == "Fails.":
        sys.exit("qBittorrent refuses the user name or the password")
    # Its own port forwarding would ask the router of the house, past the VPN.
    post("app/setPreferences", json=json.dumps({"listen_port": port, "random_port": False, "upnp": False}))


if __name__ == "__main__":
    if os.environ["PORTMAPPER_EVENT"] in {"mapped", "restored", "changed"}:
        listen_on(int(os.environ["PORTMAPPER_EXTERNAL_PORT"]))
        print(f"qBittorrent listens on port {os.environ['PORTMAPPER_EXTERNAL_PORT']}")
