"""What a person may type: each command with its arguments and options. The work is in the module of its name."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand

from toe.cli.call import Call, takes_flags
from toe.cli.program import SETTINGS, ToolCommand, app


class ProfileName(StrEnum):
    """Is a profile of the operator's settings."""

    COMPAT = "compat"
    STANDARD = "standard"
    HARDENED = "hardened"


class OutputMode(StrEnum):
    """Is where files go."""

    COLLECTOR = "collector"
    EPHEMERAL = "ephemeral"
    PVC = "pvc"


class Format(StrEnum):
    """Is how results are printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Format, typer.Option("--output", "-o", help="How to print the result.")]
Container = Annotated[
    str | None, typer.Option("--container", "-c", metavar="NAME", help="Container to join. Default: the pod's default.")
]
Duration = Annotated[str, typer.Option("--for", metavar="DURATION", help="How long the tool runs: 10s, 2m30s.")]
Warmup = Annotated[str | None, typer.Option("--warmup", metavar="DURATION", help="Wait so long before it begins.")]
MaxCpu = Annotated[
    int | None, typer.Option("--max-cpu", metavar="PERCENT", help="End the tool above this use of one core.")
]
Profile = Annotated[
    ProfileName | None, typer.Option("--profile", help="The operator's profile. Default: the installed one.")
]
Collector = Annotated[
    str | None,
    typer.Option("--collector", metavar="URL", help="The collector's own address. Default: through the API server."),
]
CollectorCa = Annotated[
    Path | None, typer.Option("--collector-ca", metavar="FILE", help="Who signed the certificate at that address.")
]
Mode = Annotated[
    OutputMode | None,
    typer.Option("--mode", help="Where files go. Default: to the collector, where there is one, else to the log."),
]
Claim = Annotated[
    str | None, typer.Option("--claim", metavar="NAME[/DIR]", help="Put files on this claim, which the pods mount.")
]
Compress = Annotated[bool, typer.Option("--compress", help="Compress files before they are sent (zstd).")]
Rolling = Annotated[
    str | None, typer.Option("--rolling", metavar="DURATION", help="Send files while the tool runs, every so often.")
]
KeepDays = Annotated[int | None, typer.Option("--keep-days", metavar="DAYS", help="Keep files for so many days.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Name of the run (a PowerTool).")]
SELECTOR_HELP = "Labels of the pods: app=shop, 'tier in (a,b)', '!canary'."


def command(cls: type[TyperCommand] = TyperCommand) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Declares a command that takes the cluster flags."""

    def declare(function: Callable[..., int]) -> Callable[..., int]:
        epilog = "All options for reaching a cluster: --help without a command."
        app.command(cls=cls, epilog=epilog, context_settings=SETTINGS)(takes_flags(function))
        return function

    return declare


@command(ToolCommand)
def run(
    call: Call,
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="Name of the tool, as `tools` lists it.")],
    selector: Annotated[str, typer.Option("--selector", "-l", metavar="SELECTOR", help=SELECTOR_HELP)],
    container: Container = None,
    duration: Duration = "30s",
    warmup: Warmup = None,
    max_cpu: MaxCpu = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the run. Default: one is made from the tool's."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Follow the run to its end; --wait=false prints its name only.")
    ] = True,
    mode: Mode = None,
    claim: Claim = None,
    compress: Compress = False,
    rolling: Rolling = None,
    keep_days: KeepDays = None,
    pending: Annotated[
        bool, typer.Option("--pending", help="Create it even if its tool or its pods are not there yet.")
    ] = False,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", help="Follow it for so long at most.")
    ] = None,
    output: Output = Format.TABLE,
) -> int:
    """Run a tool in pods, follow it, and say where the result is.

    ARGS are the tool's own, as far as its PowerToolConfig accepts them. Ctrl-C cancels the run and waits for its end; a
    second one leaves at once.

    Exit status: 0 all targets succeeded, 1 the run failed, 2 refused or wrong usage, 3 some targets failed, 130
    cancelled.
    """
    from toe.cli.request import Wish
    from toe.cli.run import run

    wish = Wish(
        tool,
        selector,
        duration,
        call.arguments,
        container,
        warmup,
        max_cpu,
        name,
        mode=mode.value if mode else None,
        claim=claim,
        compress=compress,
        rolling=rolling,
        keep_days=keep_days,
    )
    return run(call, wish, wait=wait, pending=pending, timeout=timeout, output=output.value)


@command(ToolCommand)
def plan(
    call: Call,
    tool: Annotated[str | None, typer.Argument(metavar="TOOL", help="Name of the tool.")] = None,
    selector: Annotated[str | None, typer.Option("--selector", "-l", metavar="SELECTOR", help=SELECTOR_HELP)] = None,
    container: Container = None,
    duration: Duration = "30s",
    warmup: Warmup = None,
    max_cpu: MaxCpu = None,
    filename: Annotated[
        list[str] | None, typer.Option("--filename", "-f", metavar="FILE", help="Plan the PowerTools of this file.")
    ] = None,
    output: Output = Format.TABLE,
) -> int:
    """Show the container each pod would get, and every refusal, without changing anything.

    Exit status: 0 every pod would get it, 1 the run would wait, 2 refused or wrong usage, 3 some pods are refused.
    """
    from toe.cli.plan import plan
    from toe.cli.request import Wish
    from toe.cli.sentences import ComplaintError

    if filename and (tool or selector):
        raise ComplaintError("name a tool with -l, or files with -f, not both", status=2)
    if filename:
        return plan(call, None, tuple(filename), output.value)
    if not tool or not selector:
        raise ComplaintError("which tool, in which pods?", hints=[f"{call.program} plan TOOL -l app=NAME"], status=2)
    wish = Wish(tool, selector, duration, call.arguments, container, warmup, max_cpu)
    return plan(call, wish, (), output.value)


@command()
def lint(
    call: Call,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Manifests, directories of them, - for stdin.")],
    profile: Annotated[
        ProfileName, typer.Option("--profile", help="Judge as the operator does under this profile.")
    ] = ProfileName.STANDARD,
    output: Output = Format.TABLE,
) -> int:
    """Check PowerToolConfigs and PowerTools offline: all that the cluster would refuse.

    Exit status: 0 clean, 1 problems, 2 wrong usage.
    """
    from toe.cli.lint import lint

    return lint(call, files, profile.value, output.value)


@command()
def tools(
    call: Call,
    name: Annotated[str | None, typer.Argument(metavar="[TOOL]", help="Show this one in detail.")] = None,
    output: Output = Format.TABLE,
) -> int:
    """List the tools, what each runs with, and whether it is for you in this namespace."""
    from toe.cli.tools import show

    return show(call, name, output.value)


@command()
def get(
    call: Call,
    name: RunName,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", "--directory", "-d", metavar="DIR", help="Save below it. Default: the run's name."
        ),
    ] = None,
    pod: Annotated[str | None, typer.Option("--pod", metavar="POD", help="Only this pod's files.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that have other content.")] = False,
    collector: Collector = None,
    ca: CollectorCa = None,
) -> int:
    """Save the files of a run as POD/FILE, each checked against its sha256.

    What did not come whole goes on where it stopped when the same is typed again.

    Exit status: 0 all are saved, 3 some are missing, 1 all are missing.
    """
    from toe.cli.get import get

    return get(call, name, directory, force=force, pod=pod, collector=collector, ca=ca)


@command()
def artifacts(
    call: Call,
    name: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Only the files of this run.")] = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="In all namespaces.")] = False,
    output: Output = Format.TABLE,
    collector: Collector = None,
    ca: CollectorCa = None,
) -> int:
    """List the files that the collector keeps; `get` saves them."""
    from toe.cli.artifacts import artifacts

    return artifacts(call, name, output.value, everywhere=everywhere, collector=collector, ca=ca)


@command()
def logs(
    call: Call,
    name: RunName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the tools end.")] = False,
    pod: Annotated[str | None, typer.Option("--pod", metavar="POD", help="Only this pod.")] = None,
    container: Annotated[
        str | None, typer.Option("--container", "-c", metavar="NAME", help="Only this container.")
    ] = None,
) -> int:
    """Print what the tools of a run print.

    Exit status: 0 all were printed, 3 some are missing, 1 all are missing.
    """
    from toe.cli.logs import logs

    return logs(call, name, follow=follow, pod=pod, container=container)


@command()
def cancel(call: Call, name: RunName) -> int:
    """Stop a run: no tool is added any more; says what still runs and until when."""
    from toe.cli.cancel import cancel

    return cancel(call, name)


@command()
def rbac(
    call: Call,
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="Name of the tool, as `tools` lists it.")],
    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="Who gets the rights: a user.")] = None,
    group: Annotated[str | None, typer.Option("--group", metavar="NAME", help="Who gets the rights: a group.")] = None,
    account: Annotated[
        str | None, typer.Option("--service-account", metavar="NS:NAME", help="Who gets the rights: an account.")
    ] = None,
    profile: Profile = None,
) -> int:
    """Print what to hand out so that somebody may run a tool here: `... | kubectl apply -f -`.

    What the subject has already is left out. Nothing is changed.
    """
    from toe.cli.rbac import rbac, subject_of

    return rbac(call, tool, subject_of(user, group, account), profile.value if profile else None)


@command()
def explain(
    call: Call,
    name: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Name of a run (a PowerTool).")] = None,
    filename: Annotated[
        list[str] | None, typer.Option("--filename", "-f", metavar="FILE", help="Explain the PowerTools of this file.")
    ] = None,
    profile: Profile = None,
    output: Output = Format.TABLE,
) -> int:
    """Show for each pod the exact container, what it will really hold, and what every layer says.

    Whoever may act as the operator gets the API server's own answer, by a dry run; others toe's prediction.

    Exit status: 0 every pod would get it, 1 the run would wait, 2 refused or wrong usage, 3 some pods are refused.
    """
    from toe.cli.explain import explain
    from toe.cli.sentences import ComplaintError

    if bool(name) == bool(filename):
        hints = [f"{call.program} explain RUN, or {call.program} explain -f FILE"]
        raise ComplaintError("which run, or which file?", hints=hints, status=2)
    return explain(call, name, tuple(filename or ()), profile.value if profile else None, output.value)


@command()
def doctor(
    call: Call,
    profile: Profile = None,
    place: Annotated[
        str | None,
        typer.Option(
            "--make-pods-in",
            metavar="NAMESPACE",
            help="Attack two pods that are made here, never run and are removed. Default: what runs already.",
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> int:
    """Attack the installed system with dry runs, and print which layer refused what. For administrators.

    Nothing is changed; some attacks need a pod of a kind that not every cluster runs: --make-pods-in.

    Exit status: 0 every line passed, 1 some failed, 2 you may not act as others, 3 something could not be tried.
    """
    from toe.cli.doctor import doctor

    return doctor(call, profile.value if profile else None, output.value, place)
