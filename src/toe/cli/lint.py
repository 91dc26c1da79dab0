"""``lint``: everything that the API server and the controller would refuse about manifests, without a cluster."""

import difflib
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from toe.api.codec import MAX_MANIFEST_BYTES, Document, decode, problems_of, read_documents, to_builtins
from toe.api.crd import KINDS
from toe.api.meta import GROUP
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.reasons import Reason
from toe.api.settings import PROFILES, Profile, Settings
from toe.cli.call import Call
from toe.cli.sentences import ComplaintError
from toe.errors import DecodeError
from toe.policy.chains import LINT, evaluate
from toe.policy.readiness import judge_config
from toe.policy.request import JudgedConfig, Request
from toe.policy.verdict import Denied, Undecided
from toe.report.text import count

SUFFIXES = (".yaml", ".yml", ".json")
_NEEDS_CLUSTER = frozenset({Reason.PRIVILEGED_NOT_ALLOWED, Reason.TOOL_NOT_FOUND, Reason.NO_MATCHING_PODS})


class Remark(msgspec.Struct, frozen=True):
    """Is one line of the result: a problem that something refuses, or a note worth knowing."""

    source: str
    kind: Literal["problem", "note"]
    field: str
    message: str

    def __str__(self) -> str:
        """Is the line as it is printed: ``file document 2: spec.x: message``."""
        return ": ".join(filter(None, (self.source, "note" if self.kind == "note" else "", self.field, self.message)))


class Manifests(msgspec.Struct):
    """Is everything that was read, as far as it can be understood."""

    remarks: list[Remark]
    runs: list[tuple[str, PowerTool]]
    configs: list[tuple[str, JudgedConfig]]
    sources: list[str]
    passed_over: int = 0
    documents: int = 0


def lint(call: Call, files: Sequence[str], profile: Profile, output: str) -> int:
    """Prints every problem and note under a profile; exit status 1 when there is a problem."""
    settings = PROFILES[profile]
    if call.flags.system_namespace:
        settings = msgspec.structs.replace(settings, system_namespace=call.flags.system_namespace)
    found = Manifests(remarks=[], runs=[], configs=[], sources=[])
    for name in files:
        for source, content in _contents(name):
            _read(found, source, content, settings)
    if not found.documents:
        hint = "PowerTool and PowerToolConfig are what it looks at"
        raise ComplaintError(f"there is nothing to check in {', '.join(files)}", hints=[hint], status=2)
    found.remarks += [*_shared_names(found), *_judged_runs(found, settings)]
    found.remarks.sort(key=lambda remark: found.sources.index(remark.source))
    return _tell(call, found, output)


def _tell(call: Call, found: Manifests, output: str) -> int:
    screen, problems = call.screen, sum(remark.kind == "problem" for remark in found.remarks)
    if output == "table":
        screen.lines(map(str, found.remarks))
    else:
        plain = to_builtins(found.remarks)
        if output == "json":
            screen.document(json.dumps(plain, indent=2))
        else:
            import yaml

            screen.document(yaml.safe_dump(plain, sort_keys=False))
    notes = len(found.remarks) - problems
    parts = [count(found.documents, "document"), count(problems, "problem"), count(notes, "note")]
    if found.passed_over:
        parts.append(f"{found.passed_over} of other kinds passed over")
    screen.say(", ".join(parts))
    return 1 if problems else 0


def _contents(name: str) -> Iterator[tuple[str, bytes]]:
    """Yields what a file, all manifests of a directory, or stdin (``-``) holds."""
    if name == "-":
        yield "stdin", sys.stdin.buffer.read(MAX_MANIFEST_BYTES + 1)
        return
    path = Path(name)
    paths = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file()) if path.is_dir() else [path]
    for each in paths:
        try:
            with each.open("rb") as file:
                yield str(each), file.read(MAX_MANIFEST_BYTES + 1)
        except OSError as error:
            raise ComplaintError(f"{each} cannot be read: {error.strerror}", status=2) from error


def _read(found: Manifests, source: str, content: bytes, settings: Settings) -> None:
    try:
        documents = read_documents(content, source=source)
    except DecodeError as error:
        found.documents += 1
        found.sources.append(error.source or source)
        found.remarks.append(Remark(error.source or source, "problem", error.path, error.message))
        return
    for document in documents:
        found.sources.append(document.source)
        if not _is_ours(document.raw):
            found.passed_over += 1
            continue
        found.documents += 1
        _check(found, document, settings)


def _is_ours(raw: dict[str, Any]) -> bool:
    """Tells whether a document is meant for toe, misspelt or not; Deployments beside it are not its business."""
    kind, version = raw.get("kind"), str(raw.get("apiVersion", ""))
    if kind in KINDS or version.startswith((GROUP, "codriverlabs.")) or not kind:
        return True
    return "." not in version.partition("/")[0] and bool(difflib.get_close_matches(str(kind), KINDS, cutoff=0.85))


def _check(found: Manifests, document: Document, settings: Settings) -> None:
    source = document.source
    if problems := problems_of(document.raw, source=source):
        found.remarks += [Remark(source, "problem", problem.path, problem.message) for problem in problems]
        return
    try:
        manifest = decode(document.raw, source=source)
    except DecodeError as error:
        found.remarks.append(Remark(source, "problem", error.path, error.message))
        return
    if isinstance(manifest, PowerTool):
        found.runs.append((source, manifest))
        return
    judged = JudgedConfig(config=manifest, readiness=judge_config(manifest, settings))
    found.configs.append((source, judged))
    found.remarks += [
        Remark(source, "problem", violation.field, violation.message) for violation in judged.readiness.violations
    ]
    found.remarks += [Remark(source, "note", finding.field, finding.message) for finding in judged.readiness.findings]


def _shared_names(found: Manifests) -> Iterator[Remark]:
    """Yields a problem for every holder of a tool name that several configs hold."""
    holders: defaultdict[str, list[tuple[str, PowerToolConfig]]] = defaultdict(list)
    for source, judged in found.configs:
        holders[judged.config.spec.name].append((source, judged.config))
    for name, held in holders.items():
        if len({(config.metadata.namespace, config.metadata.name) for _, config in held}) < 2:
            continue  # the same object twice: the later one is an update
        for source, config in held:
            others = ", ".join(other.metadata.name for _, other in held if other is not config)
            message = f"the tool name {name} is also held by {others}: none of them would be used"
            yield Remark(source, "problem", "spec.name", message)


def _judged_runs(found: Manifests, settings: Settings) -> Iterator[Remark]:
    """Yields what the controller would refuse about the runs, as far as the configs among the files tell."""
    for source, run in found.runs:
        holders = tuple(judged for _, judged in found.configs if judged.config.spec.name == run.spec.tool.name)
        names = tuple(judged.config.spec.name for _, judged in found.configs)
        verdict = evaluate(LINT, Request(run=run, configs=holders, tool_names=names, settings=settings))
        match verdict:
            case Denied(violations):
                for violation in violations:
                    yield Remark(source, "problem", violation.field, violation.message)
            case Undecided(unmet):
                for missed in unmet:
                    if missed.reason not in _NEEDS_CLUSTER:
                        yield Remark(source, "problem", "spec.tool.name", missed.message)
                    elif missed.reason is Reason.TOOL_NOT_FOUND and names:
                        message = f"{missed.message}; it is not among these files"
                        yield Remark(source, "note", "spec.tool.name", message)
