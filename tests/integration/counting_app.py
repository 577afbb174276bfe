"""An app as a process of its own: HTTP/1.1, the requests of one connection in turn. Each POST is written down by its path before it
is answered, with what the process was told to take between the two; a line that was written outlives the process.

  counting_app.py HOST PORT FILE MILLISECONDS

SIGUSR1: all connections are reset.
"""

import asyncio
import os
import signal
import socket
import struct
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Connection(asyncio.Protocol):
    open = set()

    def connection_made(self, transport):
        self.transport = transport
        self.received = b""
        self.open.add(self)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, _):
        self.open.discard(self)

    def data_received(self, data):
        self.received += data
        head, end, rest = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        line, *fields = head.split(b"\r\n")
        length = sum(int(field[15:]) for field in fields if field.lower().startswith(b"content-length:"))
        if len(rest) < length:
            return
        self.received = rest[length:]
        method, path, _ = line.split(b" ")
        if method == b"POST":
            os.write(COUNTS, path + b"\n")
        LOOP.call_later(TAKES, self.answer)

    def answer(self):
        if not self.transport.is_closing():
            self.transport.write(ANSWER)

    def reset(self):
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def reset_all():
    for connection in list(Connection.open):
        connection.reset()


async def main():
    LOOP.add_signal_handler(signal.SIGUSR1, reset_all)
    await (await LOOP.create_server(Connection, sys.argv[1], int(sys.argv[2]), backlog=1024)).serve_forever()


TAKES = float(sys.argv[4]) / 1000
COUNTS = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
LOOP = asyncio.new_event_loop()
LOOP.run_until_complete(main())
