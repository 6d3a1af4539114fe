"""Answer on the ports of a gateway with what makes no sense; run inside the router's namespace by the lab."""

import os
import selectors
import socket
import sys
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Any

DATAGRAMS = [b"", b"\0", b"\0\x80", b"\2", b"\2\x81\0\0", b"<html>", bytes(11), bytes(61), b"\xff" * 1200]
HTML = b"<html><head><title>Router login</title><body><p>Please <b>log in</html>"


class Login(BaseHTTPRequestHandler):
    """A login page for every request."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(HTML)))
        self.end_headers()
        self.wfile.write(HTML)

    do_POST = do_GET  # noqa: N815 - the name that http.server wants

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


def main(address: str) -> None:
    web = ThreadingTCPServer((address, 0), Login)  # HTTPServer would look up its name
    Thread(target=web.serve_forever, daemon=True).start()
    location = f"http://{address}:{web.server_address[1]}/desc.xml"
    answer = f"HTTP/1.1 200 OK\r\nLOCATION: {location}\r\nST: upnp:rootdevice\r\nUSN: uuid:x\r\n\r\n".encode()
    selector = selectors.DefaultSelector()
    for port, rubbish in ((5351, []), (1900, [answer])):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, port))
        selector.register(sock, selectors.EVENT_READ, rubbish)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            assert isinstance(key.fileobj, socket.socket)
            data, peer = key.fileobj.recvfrom(2000)
            for reply in [*DATAGRAMS, data, os.urandom(60), *key.data]:
                key.fileobj.sendto(reply, peer)


if __name__ == "__main__":
    main(sys.argv[1])
