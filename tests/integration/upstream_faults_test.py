"""What becomes of an app's process while wrk, h2load and POSTs run: it is killed, stopped, or resets its connections. No POST runs
twice, GETs are answered, nothing is leaked. PILLION_FAULT_SECONDS=n: each story for so long."""

import signal
import sys
import unittest

import faults


class UpstreamFaults(faults.Faults):
    def test_an_app_is_killed_and_started_again(self):
        rounds = max(faults.SECONDS // 4, 1)

        def story():
            for number in range(rounds):
                for app in (self.apps[number % 3], self.apps[(number + 1) % 3]):
                    self.wait(0.7)
                    app.kill()
                    self.wait(0.7)
                    app.start()
                    app.wait()
        self.under_load("kill -9", story, lost_posts=2 * rounds * self.posters)

    def test_an_app_is_stopped_and_goes_on(self):
        rounds = max(faults.SECONDS // 4, 1)

        def story():
            for number in range(rounds):
                app = self.apps[number % 3]
                self.wait(0.5)
                app.signal(signal.SIGSTOP)
                self.wait(3)
                app.signal(signal.SIGCONT)
        self.under_load("SIGSTOP", story, lost_posts=rounds * 4 * self.posters)

    def test_an_app_resets_its_connections(self):
        rounds = 10 * max(faults.SECONDS - 1, 1)

        def story():
            for _ in range(rounds):
                self.wait(0.1)
                self.apps[0].signal(signal.SIGUSR1)
        self.under_load("RST", story, lost_posts=rounds * self.posters)


class UpstreamFaultsAtTwo(UpstreamFaults):
    sidecars = 2


if __name__ == "__main__":
    # The class that the target names, so that both run side by side.
    unittest.main(defaultTest=sys.argv.pop(1) if len(sys.argv) > 1 else None)
