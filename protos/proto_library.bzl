"""C++ code from .proto files with Debian's protoc: messages and gRPC stubs are separate libraries.

The sidecar links messages and never gRPC C++ (DESIGN.md section 2), so the two cannot be one target.
Both macros are for //protos only: the import root is this directory.
"""

def _stem(src):
    return src[:-len(".proto")]

def pillion_proto_library(name, srcs, deps = [], **kwargs):
    """The messages of srcs. deps: other pillion_proto_library targets whose files srcs import."""
    outs = []
    for src in srcs:
        outs += [_stem(src) + ".pb.h", _stem(src) + ".pb.cc"]
    native.filegroup(name = name + "_protos", srcs = srcs + [d + "_protos" for d in deps], **kwargs)
    native.genrule(
        name = name + "_gen",
        srcs = srcs + [d + "_protos" for d in deps],
        outs = outs,
        cmd = "/usr/bin/protoc -Iprotos --cpp_out=$(BINDIR)/protos " +
              " ".join(["$(location %s)" % s for s in srcs]),
    )
    native.cc_library(
        name = name,
        srcs = [o for o in outs if o.endswith(".cc")],
        hdrs = [o for o in outs if o.endswith(".h")],
        copts = ["-w"],  # generated
        strip_include_prefix = "/protos",
        deps = deps + ["@system//:protobuf"],
        # Nobody names the messages that travel inside Any; without this the linker drops them.
        alwayslink = True,
        **kwargs
    )

def pillion_grpc_library(name, srcs, proto, **kwargs):
    """The gRPC stubs of the services in srcs, whose messages are in the pillion_proto_library `proto`."""
    outs = []
    for src in srcs:
        outs += [_stem(src) + ".grpc.pb.h", _stem(src) + ".grpc.pb.cc"]
    native.genrule(
        name = name + "_gen",
        srcs = srcs + [proto + "_protos"],
        outs = outs,
        cmd = "/usr/bin/protoc -Iprotos --plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin " +
              "--grpc_out=$(BINDIR)/protos " + " ".join(["$(location %s)" % s for s in srcs]),
    )
    native.cc_library(
        name = name,
        srcs = [o for o in outs if o.endswith(".cc")],
        hdrs = [o for o in outs if o.endswith(".h")],
        copts = ["-w"],  # generated
        strip_include_prefix = "/protos",
        deps = [proto, "@system//:grpcpp"],
        **kwargs
    )
