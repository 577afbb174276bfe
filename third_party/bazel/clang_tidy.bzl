"""`bazel build --config=tidy //...`: clang-tidy and clang-format on every C++ file of ours, as cached actions."""

# A test that opens an empty optional fails, as it should; and lists of expected lines hold lines in several pieces.
_TEST_CHECKS = " --checks=-bugprone-unchecked-optional-access,-bugprone-suspicious-missing-comma"

def _impl(target, ctx):
    if CcInfo not in target or target.label.workspace_name or not hasattr(ctx.rule.attr, "srcs"):
        return []
    cc = target[CcInfo].compilation_context
    flags = ["-std=c++20", "-Wall", "-Wextra"] + ["-D" + d for d in cc.defines.to_list() + cc.local_defines.to_list()]
    for kind, dirs in [("-I", cc.includes), ("-iquote", cc.quote_includes), ("-isystem", cc.system_includes)]:
        flags += [kind + d for d in dirs.to_list()]
    outs = []
    for src in [f for s in ctx.rule.attr.srcs for f in s.files.to_list()]:
        if src.extension != "cc" or not src.is_source:
            continue
        out = ctx.actions.declare_file("%s.%s.tidy" % (ctx.label.name, src.basename))
        ctx.actions.run_shell(
            inputs = depset([src, ctx.file._config, ctx.file._own_code], transitive = [cc.headers]),
            outputs = [out],
            command = "/usr/bin/clang-tidy-19 --quiet --load=%s --config-file=%s%s %s -- %s >%s.log 2>&1 || { cat %s.log; exit 1; }; touch %s" % (ctx.file._own_code.path, ctx.file._config.path, _TEST_CHECKS if src.basename.endswith("_test.cc") else "", src.path, " ".join(flags), out.path, out.path, out.path),
            mnemonic = "ClangTidy",
            progress_message = "clang-tidy " + src.short_path,
        )
        outs.append(out)
    sources = [f for a in ["srcs", "hdrs"] for s in getattr(ctx.rule.attr, a, []) for f in s.files.to_list()]
    sources = [f for f in sources if f.is_source and f.extension in ["cc", "h"]]
    if sources:
        out = ctx.actions.declare_file(ctx.label.name + ".format")
        ctx.actions.run_shell(
            inputs = sources + [ctx.file._format],
            outputs = [out],
            command = "/usr/bin/clang-format-19 --style=file:%s --dry-run --Werror %s && touch %s" % (ctx.file._format.path, " ".join([f.path for f in sources]), out.path),
            mnemonic = "ClangFormat",
            progress_message = "clang-format %s" % ctx.label,
        )
        outs.append(out)
    return [OutputGroupInfo(tidy = depset(outs))]

clang_tidy = aspect(
    implementation = _impl,
    attrs = {
        "_config": attr.label(default = "//:.clang-tidy", allow_single_file = True),
        "_own_code": attr.label(default = "//third_party/bazel:own_code", allow_single_file = True, cfg = "exec"),
        "_format": attr.label(default = "//:.clang-format", allow_single_file = True),
    },
)
