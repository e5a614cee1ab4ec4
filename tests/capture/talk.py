#!/usr/bin/env python3
"""The small programs that talk while a capture is recorded; each is a function named on the command
line with its arguments. Servers print `ready` once they listen and run until they are ended.
"""

import http.client
import http.server
import socket
import struct
import sys
import threading

TIMEOUT = 5


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def ready():
    print("ready", flush=True)


# A web server that answers GET /N with N octets and POST with the length it got.


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        size = int(self.path.strip("/"))
        self.answer(bytes(n * 7 % 251 for n in range(size)))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(str(len(body)).encode())

    def log_message(self, *_):
        pass


class WebServer(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def web_server(port):
    # One socket for both families.
    server = WebServer(("::", int(port)), Web)
    ready()
    server.serve_forever()


def web_client(address, port, *sizes):
    """Fetches each size over one connection, then posts; checks what comes."""
    connection = http.client.HTTPConnection(address, int(port), timeout=TIMEOUT)
    for size in map(int, sizes):
        connection.request("GET", f"/{size}")
        body = connection.getresponse().read()
        assert len(body) == size, (len(body), size)
    connection.request("POST", "/", body=b"p" * 5000)
    assert connection.getresponse().read() == b"5000"
    connection.close()


# A name server that knows every name.


def dns_server(port):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", int(port)))
    ready()
    while True:
        query, peer = sock.recvfrom(512)
        number, question = query[:2], query[12:]
        kind = struct.unpack("!H", question[-4:-2])[0]
        data = socket.inet_aton("10.0.0.2") if kind == 1 else socket.inet_pton(socket.AF_INET6, "fd00::2")
        header = number + struct.pack("!HHHHH", 0x8580, 1, 1, 0, 0)
        answer = struct.pack("!HHHIH", 0xC00C, kind, 1, 300, len(data)) + data
        sock.sendto(header + question + answer, peer)


def dns_client(address, port, count):
    for number in range(int(count)):
        # A socket a query, so that each is a flow of its own.
        with socket.socket(family(address), socket.SOCK_DGRAM) as sock:
            sock.settimeout(TIMEOUT)
            kind = 28 if number % 2 else 1
            labels = [f"host{number}".encode(), b"example", b"test"]
            name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
            header = struct.pack("!HHHHHH", 0x1000 + number, 0x0100, 1, 0, 0, 0)
            sock.sendto(header + name + struct.pack("!HH", kind, 1), (address, int(port)))
            answer = sock.recv(512)
            assert answer[:2] == header[:2]


# Ports that nobody listens on.


def knock(address, port):
    """A datagram and a connection that are both refused."""
    with socket.socket(family(address), socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect((address, int(port)))
        sock.send(b"anybody there?")
        try:
            sock.recv(1)
            raise SystemExit("a closed port answered")
        except ConnectionRefusedError:
            pass
    with socket.socket(family(address), socket.SOCK_STREAM) as sock:
        sock.settimeout(TIMEOUT)
        try:
            sock.connect((address, int(port)))
            raise SystemExit("a closed port was opened")
        except ConnectionRefusedError:
            pass


# Multicast: joining, sending, leaving.


def group_listener(group, port, interface, count):
    index = socket.if_nametoindex(interface)
    sock = socket.socket(family(group), socket.SOCK_DGRAM)
    sock.settimeout(30)
    sock.bind(("", int(port)))
    if ":" in group:
        membership = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@i", index)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
    else:
        membership = struct.pack("4s4si", socket.inet_aton(group), b"\0" * 4, index)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    ready()
    for _ in range(int(count)):
        sock.recv(2048)


def group_sender(group, port, interface, count):
    index = socket.if_nametoindex(interface)
    with socket.socket(family(group), socket.SOCK_DGRAM) as sock:
        if ":" in group:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            chosen = struct.pack("4s4si", b"\0" * 4, b"\0" * 4, index)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, chosen)
        for number in range(int(count)):
            sock.sendto(f"notice {number}".encode(), (group, int(port)))


# Many short connections at once, and one that is cut off.


def echo_server(port):
    server = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
    ready()
    while True:
        connection, _ = server.accept()
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def echo(connection):
    with connection:
        try:
            while octets := connection.recv(4096):
                connection.sendall(octets)
        except ConnectionResetError:
            pass


def echo_clients(address, port, count):
    for number in range(int(count)):
        with socket.create_connection((address, int(port)), timeout=TIMEOUT) as sock:
            text = f"line {number}\n".encode() * (1 + number % 40)
            sock.sendall(text)
            left = len(text)
            while left:
                left -= len(sock.recv(left))
            if number % 5 == 4:
                # Closed with a reset.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
