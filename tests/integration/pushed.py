"""A control plane for one sidecar: pushes the listeners that a test writes, as others write them into static configurations."""

import concurrent.futures
import glob
import importlib
import os
import queue
import subprocess
import sys
import tempfile
import threading

import grpc

import mesh

_ROOT = os.path.join(os.environ.get("TEST_SRCDIR", "."), os.environ.get("TEST_WORKSPACE", ""))
_PROTOS = os.environ.get("PILLION_PROTOS", os.path.join(_ROOT, "protos"))
_LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"


def _modules():
    """Our protos as Python modules, all of them known to whoever reads an Any."""
    generated = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
    folders = ("envoy", "pillion/sidecar", "google/rpc")
    found = [path for folder in folders for path in glob.glob(os.path.join(_PROTOS, folder, "**", "*.proto"), recursive=True)]
    names = sorted(os.path.relpath(path, _PROTOS) for path in found)
    subprocess.check_call(["/usr/bin/protoc", "-I" + _PROTOS, "--python_out=" + generated, *names])
    sys.path.insert(0, generated)
    # google/rpc must not hide Debian's google.protobuf.
    import google
    google.__path__.append(os.path.join(generated, "google"))
    return {name: importlib.import_module(name[:-len(".proto")].replace("/", ".") + "_pb2") for name in names}


class ControlPlane:
    """Give a sidecar `bootstrap()` and `cluster()`; end it before `stop`."""

    modules = None

    def __init__(self):
        if ControlPlane.modules is None:
            ControlPlane.modules = _modules()
        self.discovery = self.modules["envoy/service/discovery/v3/discovery.proto"]
        self.asked, self.out = queue.Queue(), queue.Queue()
        self.version = 0
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        handler = grpc.stream_stream_rpc_method_handler(
            self.stream, request_deserializer=self.discovery.DiscoveryRequest.FromString,
            response_serializer=self.discovery.DiscoveryResponse.SerializeToString)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "envoy.service.discovery.v3.AggregatedDiscoveryService", {"StreamAggregatedResources": handler}),))
        self.port = mesh.free_port()
        assert self.server.add_insecure_port("%s:%d" % (mesh.HOST, self.port))
        self.server.start()

    def bootstrap(self):
        ads = {"ads": {}, "resource_api_version": "V3"}
        return {"dynamic_resources": {"lds_config": ads, "ads_config": {
            "api_type": "GRPC", "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": "control-plane"}}]}}}

    def cluster(self):
        return mesh.cluster("control-plane", [(mesh.HOST, self.port)], http2=True)

    def stream(self, requests, _):
        threading.Thread(target=self.read, args=(requests,), daemon=True).start()
        yield from iter(self.out.get, None)

    def read(self, requests):
        try:
            for request in requests:
                self.asked.put(request)
        except grpc.RpcError:
            pass  # the sidecar has ended
        self.out.put(None)

    def push(self, *listeners):
        """In the place of all before; returns when the sidecar has taken them."""
        from google.protobuf import json_format
        if self.version == 0:
            assert self.asked.get(timeout=mesh.WAIT).type_url == _LISTENER
        self.version += 1
        response = self.discovery.DiscoveryResponse(type_url=_LISTENER, version_info=str(self.version), nonce=str(self.version))
        kind = self.modules["envoy/config/listener/v3/listener.proto"].Listener
        for listener in listeners:
            response.resources.add().Pack(json_format.ParseDict(listener, kind()))
        self.out.put(response)
        answer = self.asked.get(timeout=mesh.WAIT)
        assert answer.response_nonce == str(self.version) and not answer.HasField("error_detail"), answer

    def stop(self):
        self.server.stop(None).wait()
