"""A web server on port 8080, so that there is something to open the port for."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

if __name__ == "__main__":
    with ThreadingHTTPServer(("", 8080), BaseHTTPRequestHandler) as server:
        print("ready", flush=True)
        server.serve_forever()
