"""The Web APIs of two torrent clients, as far as the port goes."""

import json
import secrets
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

USER, PASSWORD = "admin", "let me in"


class Client(BaseHTTPRequestHandler):
    """What both have in common; subclassed anew for each test, for the attributes of the class are its memory."""

    settings: dict[str, Any]
    secret: str

    def do_POST(self) -> None:
        self.answer(self.path, self.rfile.read(int(self.headers["Content-Length"])).decode())

    def answer(self, path: str, body: str) -> None:
        raise NotImplementedError

    def say(self, status: int, text: str = "", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay quiet."""


class Qbittorrent51(Client):
    """Version 5.1 and before: a login is always answered with 200."""

    right, wrong, cookie = (200, "Ok."), (200, "Fails."), "SID"

    def answer(self, path: str, body: str) -> None:
        fields = {name: value for name, (value,) in parse_qs(body).items()}
        if self.headers["Referer"] != f"http://{self.headers['Host']}":
            self.say(401)
        elif path == "/api/v2/auth/login":
            self.login(fields)
        elif path == "/api/v2/app/setPreferences" and self.headers["Cookie"] == f"{self.cookie}={self.secret}":
            self.settings.update(json.loads(fields["json"]))
            self.say(self.right[0])
        else:
            self.say(403)

    def login(self, fields: dict[str, str]) -> None:
        if fields != {"username": USER, "password": PASSWORD}:
            self.say(*self.wrong)
        else:
            self.say(*self.right, Set_Cookie=f"{self.cookie}={self.secret}; HttpOnly; SameSite=Strict; path=/")


class Qbittorrent52(Qbittorrent51):
    """Version 5.2: 204 and another cookie."""

    right, wrong, cookie = (204, ""), (401, ""), "QBT_SID_8080"


class Transmission(Client):
    """A password is asked for first, then a token against forged requests."""

    def answer(self, path: str, body: str) -> None:
        login = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if path != "/transmission/rpc":
            self.say(404)
        elif self.headers["Authorization"] != login:
            self.say(401)
        elif self.headers["X-Transmission-Session-Id"] != self.secret:
            self.say(409, X_Transmission_Session_Id=self.secret)
        else:
            self.call(**json.loads(body))

    def call(self, method: str, arguments: dict[str, Any]) -> None:
        known = method == "session-set"
        self.settings.update(arguments if known else {})
        self.say(200, json.dumps({"result": "success" if known else "method name not recognized", "arguments": {}}))


@contextmanager
def serving(client: type[Client]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run a client; yield its address and the settings that were made."""
    settings: dict[str, Any] = {}
    fresh = type(client.__name__, (client,), {"settings": settings, "secret": secrets.token_urlsafe()})
    with ThreadingHTTPServer(("127.0.0.1", 0), fresh) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", settings
        finally:
            server.shutdown()
            thread.join()
