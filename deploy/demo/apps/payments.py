#!/usr/bin/python3
"""The demo's payment service: each POST charges, whoever sent it before. Usage: payments.py IP PORT LEDGER."""
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

lock = threading.Lock()


class Payments(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one write

    def do_POST(self):
        order = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        with lock, open(sys.argv[3], "a", encoding="utf-8") as ledger:
            ledger.write(order + "\n")
        body = f"charged {order}\n".encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Payments)
server.daemon_threads = True
server.serve_forever()
