#!/usr/bin/python3
"""The demo's trace collector: an OTLP/gRPC server that appends every span as a line of JSON.
Usage: collector.py ADDRESS FILE PROTOS (a directory with the Python modules of protos/opentelemetry)."""
import json
import sys
from concurrent import futures

import grpc

sys.path.insert(0, sys.argv[3])
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2  # noqa: E402

spans_file = open(sys.argv[2], "a", buffering=1, encoding="utf-8")


def attributes(pairs):
    return {p.key: getattr(p.value, p.value.WhichOneof("value")) for p in pairs if p.value.WhichOneof("value")}


def export(request, _context):
    for resource in request.resource_spans:
        service = attributes(resource.resource.attributes).get("service.name", "?")
        for scope in resource.scope_spans:
            for span in scope.spans:
                spans_file.write(json.dumps({
                    "service": service,
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": span.kind,
                    "start": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano,
                    "attributes": {k: str(v) for k, v in attributes(span.attributes).items()},
                }) + "\n")
    return trace_service_pb2.ExportTraceServiceResponse()


handler = grpc.unary_unary_rpc_method_handler(
    export,
    request_deserializer=trace_service_pb2.ExportTraceServiceRequest.FromString,
    response_serializer=trace_service_pb2.ExportTraceServiceResponse.SerializeToString)
server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
    "opentelemetry.proto.collector.trace.v1.TraceService", {"Export": handler}),))
if server.add_insecure_port(sys.argv[1]) == 0:
    sys.exit("collector: cannot listen on " + sys.argv[1])
server.start()
server.wait_for_termination()
