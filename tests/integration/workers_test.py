"""Several workers in one sidecar: connections are spread over all of them, and each is served wherever it lands."""

import itertools
import threading
import unittest

import mesh


class Workers(mesh.MeshTest):
    def test_as_many_connections_as_workers_are_one_for_each(self):
        workers = 4
        # Each worker has an HTTP/2 connection of its own to the app: as many come as workers have clients. By the
        # kernel's hash alone that would be all four in 9 of 100 runs.
        for _ in range(2):
            self.port = mesh.free_port()
            sidecar = mesh.Sidecar([mesh.listener("outbound", self.port, "app")],
                                   [mesh.cluster("app", [self.app.address], http2=True)], concurrency=workers, admin=True)
            self.made.append(sidecar)
            # The connection that asked whether it listens counts until its end is seen. So do those for the metrics.
            asked = itertools.count(1)
            mesh.wait_until(lambda: self.clients_of(sidecar) == (1 + next(asked), 1), "no client is left")
            clients = [self.get() for _ in range(workers)]
            for _ in range(workers):
                self.app.accept()
            for client in clients:
                client.reset()
            self.made.pop().stop()

    def clients_of(self, sidecar):
        """(ever, now)"""
        metrics = sidecar.metrics()
        return metrics["pillion_client_connections_total"], metrics["pillion_client_connections_active"]

    def test_every_connection_is_served_wherever_it_lands(self):
        self.start(concurrency=3)
        threading.Thread(target=self.serve, daemon=True).start()
        clients = [self.client() for _ in range(40)]
        for number, client in enumerate(clients):
            self.get(client, path="/%d" % number)
        for number, client in enumerate(clients):
            self.assertEqual(client.head().status, 200)
            self.assertEqual(client.exactly(len("/%d" % number)), b"/%d" % number)


    def serve(self):
        """Answers every request, on whatever connection it comes, with its path; until the app is closed."""
        while True:
            try:
                app = self.app.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(app,), daemon=True).start()

    def answer(self, app):
        try:
            while True:
                name = app.head().first.split(" ")[1]
                app.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(name), name))
        except (OSError, AssertionError):  # the connection ended, as it should at the end
            pass


class WorkersAtTwo(mesh.AtTwo, Workers):
    test_as_many_connections_as_workers_are_one_for_each = None  # needs the app's own HTTP/2 connections


if __name__ == "__main__":
    unittest.main()
