"""Send datagrams to the groups of the loopback interface from a foreign address: ``flood.py PER_SECOND SECONDS``."""

import socket
import sys
import time

SENDER = "127.0.0.9"
ANNOUNCEMENT = bytes.fromhex("00800000000000037f000001")
NOTIFY = (
    b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT: upnp:rootdevice\r\nNTS: ssdp:alive\r\n"
    b"USN: uuid:flood::upnp:rootdevice\r\nBOOTID.UPNP.ORG: 1\r\n\r\n"
)
WHERE = (("224.0.0.1", 5350, ANNOUNCEMENT), ("239.255.255.250", 1900, NOTIFY), ("127.0.0.1", 5350, ANNOUNCEMENT))
_BURST = 0.002  # seconds


def main(per_second: float, seconds: float) -> int:
    """Send so many datagrams, evenly to all three places; return how many were sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((SENDER, 0))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        print("begun", flush=True)
        begin = time.monotonic()
        sent = 0
        while (now := time.monotonic() - begin) < seconds:
            while sent < now * per_second:
                host, port, data = WHERE[sent % len(WHERE)]
                sock.sendto(data, (host, port))
                sent += 1
            time.sleep(_BURST)
    return sent


if __name__ == "__main__":
    print(main(float(sys.argv[1]), float(sys.argv[2])))
