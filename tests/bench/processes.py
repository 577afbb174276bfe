"""Child processes, free ports and /proc readings for `run` and `soak`."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
SIDECAR = REPO / "bazel-bin/sidecar/pillion-sidecar"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """What stops a run; printed without a traceback."""


def find_program(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise Failure(f"{name} is not installed: run deploy/install-packages")
    return found


def free_ports(count):
    """Distinct ports nobody listens on. All are held until the last is known, so that none is given twice."""
    held = []
    try:
        for _ in range(count):
            sock = socket.socket()
            sock.bind(("127.0.0.1", 0))
            held.append(sock)
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()


def process_tree(pid):
    """The process and all its descendants."""
    tree = [pid]
    for parent in tree:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            tree += [int(child) for child in task.read_text().split()]
    return tree


def cpu_seconds(pid):
    """User and system time of a process tree, with its threads."""
    ticks = 0
    for member in process_tree(pid):
        # The name in parentheses may hold blanks; utime and stime are fields 14 and 15 of the line.
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_SECOND


def resident_kib(pid):
    total = 0
    for member in process_tree(pid):
        for line in Path(f"/proc/{member}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total


def open_descriptors(pid):
    return sum(len(os.listdir(f"/proc/{member}/fd")) for member in process_tree(pid))


def fetch(url, headers=None, timeout=2):
    """(status, body) of one GET, without a proxy from the environment."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers or {}), timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def wait_for_answer(url, headers=None, seconds=10):
    """Asks until the answer is 200: the last attempt decides."""
    deadline = time.monotonic() + seconds
    last = "no answer"
    while time.monotonic() < deadline:
        try:
            status, body = fetch(url, headers)
            if status == 200:
                return body
            last = f"status {status}"
        except OSError as error:
            last = str(error)
        time.sleep(0.05)
    raise Failure(f"{url} does not answer: {last}")


class Children:
    """Owns a temporary directory and the processes started in it; ends both when left."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="pillion-bench-"))
        self._running = {}
        signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        return self

    def __exit__(self, *_):
        for name in list(self._running):
            self.stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def start(self, name, command, core=None):
        """Starts a program with its output in the folder; returns its pid. Pinned when a core is given."""
        pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
        with open(self.folder / f"{name}.log", "wb") as log:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                     preexec_fn=pin, start_new_session=True)
        self._running[name] = child
        return child.pid

    def check_alive(self):
        for name, child in self._running.items():
            if child.poll() is not None:
                raise Failure(f"{name} ended with {child.returncode}:\n{self.log(name)[-2000:]}")

    def stop(self, name, patience=2):
        """SIGTERM, and after so many seconds SIGKILL."""
        child = self._running.pop(name)
        tree = process_tree(child.pid) if child.poll() is None else []
        for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 5)):
            for pid in tree:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            try:
                child.wait(wait)
                break
            except subprocess.TimeoutExpired:
                continue


def wrk(url, connections, seconds, core=None):
    """One wrk run: requests, seconds, requests per second, errors (not 2xx or 3xx, and of the socket)."""
    command = [find_program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", url]
    pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=pin, timeout=seconds + 60)
    result = {"requests": 0, "errors": 0, "per_second": 0.0, "detail": []}
    for line in done.stdout.splitlines():
        words = line.replace(",", "").split()
        if " requests in " in line:
            result["requests"] = int(words[0])
        elif line.startswith("Requests/sec:"):
            result["per_second"] = float(words[1])
        elif "Socket errors:" in line or "Non-2xx" in line:
            result["errors"] += sum(int(word) for word in words if word.isdigit())
            result["detail"].append(line.strip())
    if done.returncode != 0 or result["requests"] == 0:
        raise Failure(f"wrk {url}: {done.stdout}{done.stderr}")
    return result
