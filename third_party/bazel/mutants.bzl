"""The switch that puts seeded faults into a build (sidecar/base/mutant.h), and programs that are built with it.

No other build has them: whatever is not built through one of these rules compiles as if there were none."""

def _setting_impl(_ctx):
    return []

mutants_setting = rule(implementation = _setting_impl, build_setting = config.bool(flag = True))

def _on_impl(_settings, _attr):
    return {"//sidecar/base:mutants_allowed": True}

_on = transition(implementation = _on_impl, inputs = [], outputs = ["//sidecar/base:mutants_allowed"])

def _program_impl(ctx):
    program = ctx.attr.program[0][DefaultInfo]
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = out, target_file = program.files_to_run.executable, is_executable = True)
    return [DefaultInfo(executable = out, runfiles = program.default_runfiles)]

_ATTRS = {
    "program": attr.label(cfg = _on, mandatory = True),
    "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
}

mutants_binary = rule(implementation = _program_impl, executable = True, attrs = _ATTRS)
mutants_test = rule(implementation = _program_impl, test = True, attrs = _ATTRS)
