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


class Relay:
    """Passes on what two ends send each other, from `address` to `to`, connection by connection; and resets both ends where a watch
    says so."""

    def __init__(self, address, to):
        self.to, self.open = to, set()  # pairs of (client, server)
        self.listener = socket.create_server(address, backlog=256)
        threading.Thread(target=self.serve, daemon=True).start()

    def watches(self):
        """For a new connection: of what its client sends, and of what its server does, each a function of a piece of it that answers
        what of the piece passes, and whether anything does behind it."""
        return (lambda data: (data, True),) * 2

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
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = client, server
            self.open.add(pair)
            for source, target, watch in zip(pair, pair[::-1], self.watches()):
                threading.Thread(target=self.pass_on, args=(pair, source, target, watch), daemon=True).start()

    def pass_on(self, pair, source, target, watch):
        try:
            goes_on = True
            while goes_on and (data := source.recv(65536)):
                data, goes_on = watch(data)
                target.sendall(data)
        except OSError:
            pass
        self.break_off(pair)
        source.close()  # nobody else reads it

    def break_off(self, pair):
        self.open.discard(pair)
        for end in pair:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def break_all(self):
        for pair in list(self.open):
            self.break_off(pair)

    def close(self):
        self.listener.close()
        self.break_all()


class Lossy(Relay):
    """`lose(number)`: is this answer to be lost? They are counted from 1; whoever sets `answers` to 0 counts anew."""

    def __init__(self, address, to, lose):
        self.lose, self.answers = lose, 0
        super().__init__(address, to)

    def watches(self):
        frames = Frames()

        def watch_answers(data):
            lost = False
            for _ in range(frames.types(data).count(HEADERS)):
                self.answers += 1
                lost = lost or self.lose(self.answers)
            return (b"", False) if lost else (data, True)
        return super().watches()[0], watch_answers


if __name__ == "__main__":
    every = int(sys.argv[5])
    Lossy((sys.argv[1], int(sys.argv[2])), (sys.argv[3], int(sys.argv[4])), lambda number: number % every == 0)
    threading.Event().wait()
