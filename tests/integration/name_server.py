"""A DNS server on loopback, UDP and TCP on one ephemeral port, that answers what the test tells it and counts."""

import collections
import socket
import struct
import threading

import mesh

A, AAAA = 1, 28
NO_ERROR, SERVER_FAILURE, NO_SUCH_NAME = 0, 2, 3
SILENT = -1


class NameServer:
    """`names`: {name: (code, ttl, [IPv4 address, ...])}; others are NXDOMAIN. `truncate`: only TCP gets answers."""

    def __init__(self):
        self.names = {}
        self.truncate = False
        self.asked = collections.Counter()  # (transport, type, name)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp = socket.socket()
        while True:
            self.udp.bind((mesh.HOST, 0))
            self.address = self.udp.getsockname()
            try:
                self.tcp.bind(self.address)
                break
            except OSError:
                self.udp.close()
                self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp.listen(16)
        self.ended = False
        self.threads = [threading.Thread(target=serve, daemon=True) for serve in (self._serve_udp, self._serve_tcp)]
        for thread in self.threads:
            thread.start()

    def as_resolver(self):
        return {"socket_address": {"address": self.address[0], "port_value": self.address[1]}}

    def count(self, name, kind=A):
        return sum(count for (_, asked, of), count in list(self.asked.items()) if (asked, of) == (kind, name))

    def close(self):
        self.ended = True
        self.udp.sendto(b"", self.address)
        socket.create_connection(self.address).close()
        for thread in self.threads:
            thread.join()
        self.udp.close()
        self.tcp.close()

    def _serve_udp(self):
        while True:
            query, client = self.udp.recvfrom(4096)
            if self.ended:
                return
            answer = self._answer(query, "udp")
            if answer:
                self.udp.sendto(answer, client)

    def _serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            with connection:
                if self.ended:
                    return
                data = connection.recv(4096)
                answer = self._answer(data[2:], "tcp") if len(data) > 2 else None
                if answer:
                    connection.sendall(struct.pack(">H", len(answer)) + answer)

    def _answer(self, query, transport):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += query[at] + 1
        name = ".".join(labels)
        kind = struct.unpack_from(">H", query, at + 1)[0]
        self.asked[transport, kind, name] += 1
        code, ttl, addresses = self.names.get(name, (NO_SUCH_NAME, 0, []))
        if code == SILENT:
            return None
        truncated = self.truncate and transport == "udp"
        records = [] if truncated or kind != A or code else [
            b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, ttl, 4) + socket.inet_aton(one) for one in addresses]
        flags = 0x8180 | code | (0x0200 if truncated else 0)
        return query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + query[12:at + 5] + b"".join(records)
