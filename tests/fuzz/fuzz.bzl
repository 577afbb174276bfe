"""A fuzz target three ways: NAME_replay is a test of ./test that replays the corpus and a fixed number of mutations of it; NAME is
the libFuzzer binary for tests/fuzz/run (built with --config=fuzz)."""

def fuzz_target(name, deps, size = "small"):
    native.cc_library(
        name = name + "_target",
        testonly = True,
        srcs = [name + ".cc"],
        deps = deps,
        alwayslink = True,
    )
    native.filegroup(
        name = name + "_corpus",
        srcs = native.glob(["corpus/%s/*" % name]),
    )
    native.cc_test(
        name = name + "_replay",
        size = size,
        args = ["tests/fuzz/corpus/" + name],
        data = [name + "_corpus"],
        deps = [":replay", name + "_target"],
    )
    native.cc_binary(
        name = name,
        testonly = True,
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        deps = [name + "_target"],
    )
