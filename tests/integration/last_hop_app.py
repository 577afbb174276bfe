"""An app that ends connections when it should not. HTTP/1.1, a process for each connection. Each POST that it has read to its end
is written down by its path, and so has run; a line that was written outlives the process.

  last_hop_app.py HOST PORT FILE

Without more to do a request is answered with 200. GET /arm/MANNER/MICROSECONDS too, and then the connection ends in that manner.
"""

import os
import signal
import socket
import struct
import sys
import time

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
RESET = struct.pack("ii", 1, 0)


def read(connection, received=b""):
    """(the request line's words, what is behind the request); None at the end of the connection."""
    while b"\r\n\r\n" not in received:
        data = connection.recv(4096)
        if not data:
            return None, b""
        received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    length = sum(int(field[15:]) for field in fields if field.lower().startswith(b"content-length:"))
    while len(rest) < length:
        data = connection.recv(4096)
        if not data:
            return None, b""
        rest += data
    words = line.split(b" ")
    if words[0] == b"POST":
        os.write(RAN, words[1] + b"\n")
    return words, rest[length:]


def close(connection):
    connection.close()


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def linger(connection):
    """Ends its side, and drops what still comes."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass


def close_on_sight(connection):
    connection.recv(10)
    connection.close()


def reset_on_sight(connection):
    connection.recv(10)
    reset(connection)


def run_and_close(connection):
    read(connection)
    connection.close()


def run_and_reset(connection):
    read(connection)
    reset(connection)


def run_and_die(connection):
    read(connection)
    die(connection)


MANNERS = {one.__name__: one for one in (
    close, reset, die, linger, close_on_sight, reset_on_sight, run_and_close, run_and_reset, run_and_die)}


def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    rest = b""
    while True:
        words, rest = read(connection, rest)
        if words is None:
            return
        connection.sendall(ANSWER)
        if words[1].startswith(b"/arm/"):
            _, _, manner, microseconds = words[1].decode().split("/")
            until = time.monotonic() + int(microseconds) / 1e6
            while time.monotonic() < until:
                pass
            MANNERS[manner](connection)
            return


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listening = socket.create_server((HOST, PORT), backlog=128)
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            try:
                serve(connection)
            except OSError:
                pass
            os._exit(0)
        connection.close()


if __name__ == "__main__":
    HOST, PORT = sys.argv[1], int(sys.argv[2])
    RAN = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    main()
