#!/usr/bin/python3
"""A network that loses answers: relays HTTP/2 connections, and breaks one in place of every Nth answer, once the request has
got through. Usage: lossy.py IP PORT TO_IP TO_PORT N"""
import itertools
import socket
import struct
import sys
import threading

every = int(sys.argv[5])
answers = itertools.count(1)
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


def break_off(*ends):
    for end in ends:
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def pass_on(source, target, frames=None):
    try:
        while data := source.recv(65536):
            if frames and any(kind == HEADERS and next(answers) % every == 0 for kind in frames.types(data)):
                break
            target.sendall(data)
    except OSError:
        pass
    break_off(source, target)


def serve(client):
    try:
        server = socket.create_connection((sys.argv[3], int(sys.argv[4])))
    except OSError:
        client.close()
        return
    other = threading.Thread(target=pass_on, args=(server, client, Frames()), daemon=True)
    other.start()
    pass_on(client, server)
    other.join()
    client.close()
    server.close()


listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
