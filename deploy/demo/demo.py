#!/usr/bin/python3
"""Shows a mesh working: prints what it measured. `--once` ends after the show, exit code 1 when something did not hold."""
import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import mesh as mesh_module
from mesh import HERE, OUTBOUND, PYTHON, SIDECARS, TOP, Mesh, wait_for

problems = []


def say(text=""):
    print(text, flush=True)


def check(holds, what):
    if not holds:
        problems.append(what)
    say(f"   {'ok' if holds else 'NOT SO'}: {what}")


def curl(host, path="/", *more):
    done = subprocess.run(["curl", "-s", "-i", "-m", "5", "-H", "Host: " + host, *more, f"http://{OUTBOUND}{path}"],
                          capture_output=True, text=True, check=False)
    head, _, body = done.stdout.partition("\n\n")  # text mode has made LF of CRLF
    return head, body


def wrk(host, seconds, connections, address=OUTBOUND, path="/"):
    """(requests, errors, p50 ms, p99 ms)"""
    done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-H", "Host: " + host,
                           f"http://{address}{path}"], capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", done).group(1))
    errors = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", done))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", done)
    errors += int(bad.group(1)) if bad else 0

    def percentile(p):
        value, unit = re.search(rf"{p}%\s+([\d.]+)(us|ms|s)", done).groups()
        return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]

    return requests, errors, percentile(50), percentile(99)


def show_legs(m):
    say("\n1. One request, HTTP/1.1 -> HTTP/2 -> HTTP/1.1")
    head, body = curl("web", "/index.html", "-H", "x-pillion-explain: 1")
    say("   curl saw:    " + head.splitlines()[0] + "   body: " + body.strip())
    explain = re.search(r"x-pillion-explain: (.*)", head, re.IGNORECASE)
    say("   explained:   " + (explain.group(1).strip() if explain else "nothing"))
    http1 = m.metric("client", "pillion_upstream_connections_total", protocol="http1")
    http2 = m.metric("client", "pillion_upstream_connections_total", protocol="http2")
    app = m.metric("web", "pillion_upstream_connections_total", protocol="http1")
    wait_for("nginx's log", lambda: os.path.getsize(os.path.join(m.run, "nginx-seen.log")) > 0)
    with open(os.path.join(m.run, "nginx-seen.log"), encoding="utf-8") as log:
        seen = log.readline().strip()
    say(f"   client -> its sidecar:   {head.split()[0]} (status line that curl got)")
    say(f"   sidecar -> sidecar:      {http2:g} HTTP/2 connections (control plane and collector among them), {http1:g} HTTP/1 connections")
    say(f"   sidecar -> nginx:        {app:g} HTTP/1 connection; nginx logged '{seen}'")
    check(head.startswith("HTTP/1.1 200"), "curl got HTTP/1.1 200")
    check(http2 >= 1 and http1 == 0, "between the sidecars there is HTTP/2 only")
    check(seen.startswith("HTTP/1.1 GET /index.html HTTP/1.1"), "nginx saw the HTTP/1.1 request")
    _, body = curl("orders")
    fields = json.loads(body)["fields"]
    check("Pillion-H1" not in fields and "pillion-h1" not in fields, "the app sees no internal header: " + ", ".join(fields))
    done = subprocess.run([PYTHON, f"{HERE}/apps/greeter.py", "call", OUTBOUND, "200"], capture_output=True, text=True, check=False)
    check(done.returncode == 0, "gRPC: " + (done.stdout or done.stderr).strip())


def show_load(m):
    say("\n2. Load: wrk to nginx, straight and through two sidecars")
    say("   1 connection, so that nothing queues:")
    straight = wrk("web", 3, 1, "127.0.1.1:8080", "/index.html")
    meshed = wrk("web", 3, 1, path="/index.html")
    say(f"   straight: p50 {straight[2]:.2f} ms, p99 {straight[3]:.2f} ms;  meshed: p50 {meshed[2]:.2f} ms, p99 {meshed[3]:.2f} ms")
    say(f"   added by two sidecars: p50 {meshed[2] - straight[2]:.2f} ms, p99 {meshed[3] - straight[3]:.2f} ms")
    say("   32 connections, as fast as it goes (client, sidecars and nginx share this machine's cores):")
    before = {s: m.cpu_seconds("sidecar-" + s) for s in ("client", "web")}
    counted = m.metric("client", "pillion_requests_total")
    meshed = wrk("web", 5, 32, path="/index.html")
    after = {s: m.cpu_seconds("sidecar-" + s) for s in ("client", "web")}
    say(f"   {meshed[0] / 5:.0f} requests/s, p50 {meshed[2]:.2f} ms, p99 {meshed[3]:.2f} ms")
    for name in ("client", "web"):
        say(f"   CPU of the {name} sidecar: {(after[name] - before[name]) / meshed[0] * 1e6:.1f} us per request")
    wait_for("the counters", lambda: m.metric("client", "pillion_requests_total") - counted >= meshed[0], 3)
    say(f"   the client's sidecar counted {m.metric('client', 'pillion_requests_total') - counted:g} requests")
    check(meshed[1] == 0, f"{meshed[0]} requests sent, {meshed[0] - meshed[1]} answered with 2xx, {meshed[1]} failed")


def spans_of(m):
    try:
        with open(os.path.join(m.run, "spans.jsonl"), encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []


def traces_of_load(m):
    return len([s for s in spans_of(m) if s["service"] == "shop" and s["kind"] == 2 and not s["parent"]])


def print_tree(spans, parent, depth):
    for span in sorted((s for s in spans if s["parent"] == parent), key=lambda s: s["start"]):
        kind = {2: "server", 3: "client"}.get(span["kind"], "?")
        say(f"   {'   ' * depth}{kind} {span['service']}: {span['name']}  {(span['end'] - span['start']) / 1e6:.2f} ms")
        print_tree(spans, span["span"], depth + 1)


def show_trace(m):
    say("\n3. One request's trace across both sidecars")
    # The load's requests carried no decision: the pushed policy wants 1 of 100. This one carries its own.
    wait_for("sampled spans of the load", lambda: traces_of_load(m))
    say(f"   of the load's requests {traces_of_load(m)} were traced (the policy says 1 %)")
    trace = os.urandom(16).hex()
    parent = os.urandom(8).hex()
    curl("orders", "/traced", "-H", f"traceparent: 00-{trace}-{parent}-01")
    wait_for("the spans", lambda: len([s for s in spans_of(m) if s["trace"] == trace]) >= 4)
    spans = [s for s in spans_of(m) if s["trace"] == trace]
    say("   curl (trace " + trace + ")")
    print_tree(spans, parent, 1)
    kinds = [s["kind"] for s in spans]
    check(kinds.count(2) == 2 and kinds.count(3) == 2, "a server and a client span at each of the two sidecars")


class Prober(threading.Thread):
    """Asks `orders` for / all the time and notes which version answered when."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen = []
        self.failures = 0
        self.stop = False

    def run(self):
        while not self.stop:
            request = urllib.request.Request(f"http://{OUTBOUND}/", headers={"Host": "orders"})
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    answer.read()
                    self.seen.append((time.monotonic(), answer.headers["X-Version"]))
            except OSError:
                self.failures += 1


def edit_route(m, change):
    path = os.path.join(m.run, "mesh", "orders-route.yaml")
    with open(path, encoding="utf-8") as file:
        text = change(file.read())
    with tempfile.NamedTemporaryFile("w", dir=m.run, delete=False, encoding="utf-8") as file:
        file.write(text)
    os.rename(file.name, path)
    return time.monotonic()


def show_change(m):
    say("\n4. A weight and a route change while wrk runs")
    results = {}
    load = threading.Thread(target=lambda: results.update(wrk=wrk("orders", 6, 8)))
    load.start()
    prober = Prober()
    prober.start()
    time.sleep(1.5)
    shares = [v for _, v in prober.seen]
    say(f"   before: {shares.count('v1')} of {len(shares)} answers from v1 (weight 90), {shares.count('v2')} from v2 (weight 10)")
    changed = edit_route(m, lambda t: t.replace("weight: 90", "weight: 0").replace("weight: 10", "weight: 100").replace("/beta", "/next"))
    time.sleep(2)
    first_v2_only = next((t for t, v in prober.seen if t > changed and v == "v2"), None)
    last_v1 = max((t for t, v in prober.seen if t > changed and v == "v1"), default=changed)
    after_last = next((t for t, v in prober.seen if t > last_v1), None)
    load.join()
    prober.stop = True
    prober.join()
    say(f"   weight 0/100 written: first answer from v2 after {(first_v2_only or changed) - changed:.3f} s, "
        f"the last request still went to v1 after {last_v1 - changed:.3f} s")
    check(after_last is not None and last_v1 - changed < 2, "every request followed within 2 s")
    head, body = curl("orders", "/next")
    check('"v2"' in body, "the new path /next is served by v2: " + head.splitlines()[0])
    requests, errors = results["wrk"][:2]
    check(errors + prober.failures == 0, f"{requests + len(prober.seen)} requests meanwhile, {errors + prober.failures} failed")


def versions(m):
    done = subprocess.run(["bazel-bin/control-plane/pillionctl", "status", "--address", mesh_module.CONTROL_PLANE],
                          cwd=TOP, capture_output=True, text=True, check=False)
    rows = [line.split() for line in done.stdout.splitlines() if "type" not in line.lower() and len(line.split()) >= 7]
    return [row for row in rows if row[0] in SIDECARS]


def show_outage(m):
    say("\n5. The control plane dies; traffic goes on; a sidecar restarts; the control plane comes back")
    m.stop("control-plane")
    before = wrk("web", 2, 8, path="/index.html")
    check(before[1] == 0, f"without control plane: {before[0]} requests, {before[1]} failed")
    code = m.stop("sidecar-client")
    m.start_sidecar("client")
    m.wait_ready(["client"])
    say("   restarted client sidecar says: " + " / ".join(m.admin("client", "/ready").split("\n")[:2]))
    restarted = wrk("web", 2, 8, path="/index.html")
    check(code == 0 and restarted[1] == 0, f"through the restarted sidecar (exit code {code}): {restarted[0]} requests, {restarted[1]} failed")
    started = time.monotonic()
    m.start_control_plane()
    wait_for("all sidecars to resubscribe", lambda: len({r[0] for r in versions(m)}) == len(SIDECARS))
    say(f"   control plane back: all {len(SIDECARS)} sidecars resubscribed {time.monotonic() - started:.2f} s after it was started")
    wait_for("versions to agree", lambda: all(r[4] == "ACKED" and r[5] == r[6] for r in versions(m)), 5)
    rows = versions(m)
    check(rows and all(r[5] == r[6] for r in rows), f"{len(rows)} resource versions sent and acknowledged agree")


POLICY = """apiVersion: policy.pillion.dev/v1alpha1
kind: IdempotencyPolicy
metadata: {name: payments, namespace: default}
spec:
  targetRefs: [{kind: Service, name: payments}]
"""
ORDERS = 400  # of which the network loses fewer answers than the budget has retries (10 %)


def pay(order):
    """As careful apps do, it tries again when it is told of an error. How often it had to ask, and what it was told last."""
    for asked in range(1, 5):
        request = urllib.request.Request(f"http://{OUTBOUND}/charge", data=order.encode(), headers={"Host": "payments"})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                answer.read()
                return asked, answer.status
        except urllib.error.HTTPError as error:
            told = error.code
        except OSError:
            told = 0
    return asked, told


def pay_all(m, name):
    results = [pay(f"{name}-{number}") for number in range(ORDERS)]
    with open(m.ledger, encoding="utf-8") as file:
        charges = collections.Counter(line.strip() for line in file if line.startswith(name + "-"))
    paid = sum(1 for _, told in results if told == 201)
    again = sum(asked - 1 for asked, _ in results)
    double = sum(1 for count in charges.values() if count > 1)
    say(f"   {ORDERS} orders: {paid} paid, the app had to ask {again} times more; the ledger has {sum(charges.values())} charges, "
        f"{double} orders were charged twice or more")
    return paid, again, double


def show_payments(m):
    say("\n6. A payment service that charges on every POST, and a network that loses every twentieth answer")
    say("   without a policy (the app asks again when it is told of an error):")
    _, again, double = pay_all(m, "before")
    check(double > 0 and again > 0, f"answers were lost, and {double} orders charged twice")
    with open(os.path.join(m.run, "payments-policy"), "w", encoding="utf-8") as file:
        file.write(POLICY)
    os.rename(file.name, os.path.join(m.run, "mesh", "payments-policy.yaml"))
    written = time.monotonic()

    def stamping():
        return m.metric("client", "pillion_token_attempts_total") > 0 or (pay("warm") and False)

    wait_for("the first token", stamping)
    say(f"   an IdempotencyPolicy written; the first POST with a token after {time.monotonic() - written:.2f} s:")
    paid, again, double = pay_all(m, "after")
    said = {one: m.metric("client", "pillion_token_verdicts_total", verdict=one) for one in ("executed", "replayed", "coalesced", "unknown")}
    say("   what the service's sidecar said of attempts: " + ", ".join(f"{count:g} {one}" for one, count in said.items()))
    check(double == 0 and paid == ORDERS and again == 0, "every order was charged once, and the app saw no error")
    check(said["replayed"] > 0, f"{said['replayed']:g} answers that the network had lost were told again")


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    once = "--once" in sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with them ignored
        signal.signal(number, interrupt)
    mesh_module.require_free_ports()
    began = time.monotonic()
    m = Mesh(os.path.join(TOP, ".run"))
    try:
        m.start_apps()
        m.start_control_plane()
        for name in SIDECARS:
            m.start_sidecar(name)
        m.wait_ready(SIDECARS)
        say(f"The mesh is up after {time.monotonic() - began:.1f} s: 5 services, {len(SIDECARS)} sidecars, a control plane, a collector. Logs: .run/")
        for show in (show_legs, show_load, show_trace, show_change, show_outage, show_payments):
            show(m)
        say()
        if problems:
            say("What did not hold:\n" + "\n".join("  - " + p for p in problems))
        else:
            say("All of it held.")
        if not once:
            say(f"\nThe mesh stays up. Try:  curl -H 'Host: orders' http://{OUTBOUND}/   or edit .run/mesh/*.yaml   (Ctrl-C ends it)")
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        pass
    except Exception as error:  # whatever it is, the processes must be stopped and the exit code 1
        say(f"quickstart: {error}")
        problems.append(str(error))
    finally:
        m.stop_all()
    return 1 if problems else 0


sys.exit(main())
