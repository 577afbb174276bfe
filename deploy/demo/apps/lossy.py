#!/usr/bin/python3
"""A network that loses answers: relays HTTP/2 connections, and breaks one in place of an answer, once the request has got through.
Usage: lossy.py IP PORT TO_IP TO_PORT N    every Nth answer is lost"""
import socket
import struct
import sys
import threading

HEADERS = 1  # the type of frame that an answer begins with (RFC 9113 section 6.2)


class Frames:
    """Finds the frames in what a server sends (RFC 9113 section 4.1)."""

    def __init__(self):
        self.head = b""
        self.left = 0  # of the present frame

    def types(self, data):
        found = []
        while data:
            if self.left:
                data, self.left = data[self.left:], max(0, self.left - len(data))
                continue
            take = 9 - len(self.head)
            self.head, data = self.head + data[:take], data[take:]
            if len(self.head) == 9:
                self.left = int.from_bytes(self.head[:3], "big")
                found.append(self.head[3])
                self.head = b""
        return found


class Lossy:
    """From `address` to `to`; `lose(number)`: is this answer to be lost? They are counted from 1; whoever sets `answers` to 0
    counts anew."""

    def __init__(self, address, to, lose):
        self.to, self.lose, self.answers, self.open = to, lose, 0, set()
        self.listener = socket.create_server(address)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            try:
                server = socket.create_connection(self.to)
            except OSError:
                client.close()
                continue
            self.open |= {client, server}
            for source, target, frames in ((client, server, None), (server, client, Frames())):
                threading.Thread(target=self.pass_on, args=(source, target, frames), daemon=True).start()

    def is_lost(self, data, frames):
        lost = False
        for _ in range(frames.types(data).count(HEADERS)):
            self.answers += 1
            lost = lost or self.lose(self.answers)
        return lost

    def pass_on(self, source, target, frames):
        try:
            while data := source.recv(65536):
                if frames is not None and self.is_lost(data, frames):
                    break
                target.sendall(data)
        except OSError:
            pass
        self.break_off(source, target)

    def break_off(self, *ends):
        for end in ends:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.open.discard(end)

    def close(self):
        self.listener.close()
        self.break_off(*self.open)


if __name__ == "__main__":
    every = int(sys.argv[5])
    Lossy((sys.argv[1], int(sys.argv[2])), (sys.argv[3], int(sys.argv[4])), lambda number: number % every == 0)
    threading.Event().wait()
