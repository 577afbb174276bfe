"""What the Python peers of an ADS stream share: our protos as Python modules, and a loopback address of their own."""
import os
import random
import subprocess
import sys
import tempfile

# Ports found free here stay free, whatever other tests do. (Of 127.0.0.1 every connection of the machine takes its
# source port.)
HOST = "127.%d.%d.%d" % (random.SystemRandom().randrange(10, 250), random.SystemRandom().randrange(256),
                         random.SystemRandom().randrange(1, 255))

_NAMES = ["envoy/config/" + p for p in (
    "core/v3/core", "cluster/v3/cluster", "endpoint/v3/endpoint", "route/v3/route", "listener/v3/listener",
    "accesslog/v3/accesslog", "trace/v3/trace")]
_NAMES += ["envoy/service/discovery/v3/discovery", "envoy/type/v3/type", "envoy/type/matcher/v3/matcher",
           "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager",
           "envoy/extensions/filters/http/router/v3/router", "envoy/extensions/transport_sockets/tls/v3/tls",
           "google/rpc/status"]


def generate(protos):
    """Makes the modules of `protos` (the folder) importable, out of a temporary folder of the test."""
    generated = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
    subprocess.check_call(["/usr/bin/protoc", "-I" + protos, "--python_out=" + generated] + [n + ".proto" for n in _NAMES])
    sys.path.insert(0, generated)
    # google/rpc must not hide Debian's google.protobuf.
    import google
    google.__path__.append(os.path.join(generated, "google"))
