"""An app as a process of its own that counts executions: each POST writes its x-order to a file once its body is there, then does
what its x-do fields say, one after the other.

  token_app.py HOST PORT FILE

x-do: delay SECONDS | status CODE | field NAME:VALUE | echo NAME (of a request's field, as x-echo) | size BYTES | half | reset | die
"""

import http.server
import os
import signal
import socket
import struct
import sys
import threading
import time


class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        length = self.headers.get("Content-Length")
        body = self.rfile.read(int(length)) if length is not None else self.chunked()
        os.write(self.server.executions, (self.headers.get("x-order", "?") + "\n").encode())
        status, size, fields, half = 201, None, [], False
        for command in self.headers.get_all("x-do") or []:
            word, _, value = command.partition(" ")
            if word == "delay":
                time.sleep(float(value))
            elif word == "status":
                status = int(value)
            elif word == "field":
                fields.append(value.split(":", 1))
            elif word == "echo":
                fields.append(("x-echo", self.headers.get(value, "(none)")))
            elif word == "size":
                size = int(value)
            elif word == "half":
                half = True
            elif word == "reset":
                return self.break_off()
            elif word == "die":
                os.kill(os.getpid(), signal.SIGKILL)
        answer = b"x" * size if size is not None else b"ran %d of %s, saw %s" % (
            self.server.count(), body[:40], ",".join(sorted(name.lower() for name in self.headers)).encode())
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if half:
            self.wfile.write(answer[:len(answer) // 2])
            self.wfile.flush()
            time.sleep(0.1)
            return self.break_off()
        self.wfile.write(answer)

    do_PUT = do_POST

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def chunked(self):
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def break_off(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    number = 0
    lock = threading.Lock()

    def count(self):
        with self.lock:
            self.number += 1
            return self.number

    def handle_error(self, *_):
        pass  # a client that has gone


server = Server((sys.argv[1], int(sys.argv[2])), App)
server.executions = os.open(sys.argv[3], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
server.serve_forever()
