"""The customs office: YAML and JSON to types and back."""

from pathlib import Path
from typing import Any

import pytest

from tests.builders import a_config, a_powertool, config_manifest, powertool_manifest
from tests.cluster.manifests import manifests
from toe.api.codec import MAX_MANIFEST_BYTES, decode, problems_of, read_documents, to_builtins, to_yaml
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.errors import DecodeError

HERE = Path(__file__).parents[1] / "manifests"


def _read(text: str) -> Any:
    (document,) = read_documents(text)
    return document.raw


def test_a_file_is_split_into_its_documents() -> None:
    """Empty documents are passed over; each error can say which document it means."""
    documents = read_documents("---\na: 1\n---\n---\nb: 2\n", source="f.yaml")
    assert [(d.raw, d.source) for d in documents] == [({"a": 1}, "f.yaml document 1"), ({"b": 2}, "f.yaml document 2")]
    assert [d.source for d in read_documents(b'{"a": 1}', source="f.json")] == ["f.json"]
    assert read_documents("") == []


def test_a_list_is_taken_apart() -> None:
    """What ``kubectl get -o yaml`` writes is several manifests; what is no manifest in it is passed over."""
    documents = read_documents("kind: List\nitems:\n- {a: 1}\n- {b: 2}\n- 5\n")
    assert [document.raw for document in documents] == [{"a": 1}, {"b": 2}]
    assert _read("kind: List\nitems: none\n") == {"kind": "List", "items": "none"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "f: is no YAML: "),
        ("a: 1\na: 2\n", "f: is no YAML: the key 'a' is given twice"),
        ("spec: {name: a, name: b}", "the key 'name' is given twice"),
        ("- a\n", "f: must be a mapping, not a list"),
        ("text", "f: must be a mapping, not a string"),
        ("5", "f: must be a mapping, not 5"),
        ("a: !!python/object:os.system x", "f: is no YAML: could not determine a constructor"),
        ("? {a: 1}\n: 2", "found unhashable key"),
        ("a: " + "[" * 5000, "f: is no YAML"),
        ("a: !!int x", "f: is no YAML that can be read: invalid literal"),
        ("x" * (MAX_MANIFEST_BYTES + 1), "f: is larger than the 3145728 bytes that the API server takes"),
    ],
)
def test_what_is_no_manifest_is_refused_in_one_line(text: str, message: str) -> None:
    """The source is named and nothing is executed."""
    with pytest.raises(DecodeError) as caught:
        read_documents(text, source="f")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-01-15", "2024-01-15"),
        ("11:22:33:44:55:12", "11:22:33:44:55:12"),
        ("1:30", "1:30"),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        ("12", 12),
        ("-1", -1),
        ("0x10", 16),
        ("010", 8),
        ("08", 8.0),
        ("yes", True),
        ("30s", "30s"),
        ("'5'", "5"),
        (".5", 0.5),
    ],
)
def test_scalars_are_read_as_kubectl_reads_them(text: str, value: Any) -> None:
    """Dates and MAC addresses stay text; what is a number to kubectl is one here."""
    assert _read(f"a: {text}")["a"] == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'{"v": "\ud83d\ude00"}', "\U0001f600"),
        (r'{"v": "a\\\uD83D\uDE00\u00e9"}', "a\\\U0001f600é"),
        (r'{"v": "\\ud83d\\ude00"}', r"\ud83d\ude00"),
        (r"v: '\ud83d\ude00'", r"\ud83d\ude00"),
    ],
)
def test_json_escapes_beyond_the_first_plane_are_one_character(text: str, value: str) -> None:
    """As kubectl reads them; a backslash that is itself escaped, and YAML, are left alone."""
    assert [document.raw["v"] for document in read_documents(text)] == [value]
    assert [document.raw["v"] for document in read_documents(text.encode())] == [value]


def test_a_manifest_becomes_its_type() -> None:
    """Both kinds are known by their words."""
    assert isinstance(decode(powertool_manifest()), PowerTool)
    assert isinstance(decode(config_manifest()), PowerToolConfig)


@pytest.mark.parametrize("kind", [None, "Pod", "powertool", 5, ["PowerTool"], "PowerToolConfigList"])
def test_other_kinds_are_refused(kind: Any) -> None:
    """The message says which kinds are accepted."""
    (problem,) = problems_of(powertool_manifest() | {"kind": kind}, source="f.yaml")
    assert str(problem).startswith("f.yaml: kind: must be PowerTool or PowerToolConfig, not ")


def test_another_version_and_a_missing_name_are_told_with_everything_else() -> None:
    """All problems are listed at once, each with its path."""
    raw = {"apiVersion": "v1", "kind": "PowerTool", "metadata": {}, "spec": {}}
    assert [str(problem) for problem in problems_of(raw)] == [
        'apiVersion: must be codriverlabs.ai.toe.run/v1alpha1, not "v1"',
        "metadata.name: must be given",
        "spec.targets: must be given",
        "spec.tool: must be given",
    ]
    with pytest.raises(DecodeError, match=r"^apiVersion: must be"):
        decode(raw)


def test_a_generated_name_is_a_name() -> None:
    """``generateName`` is accepted as the API server does."""
    assert problems_of(powertool_manifest() | {"metadata": {"generateName": "x-"}}) == []
    assert [p.path for p in problems_of(powertool_manifest() | {"metadata": "x"})] == ["metadata.name"]


def test_metadata_and_status_that_fit_no_type_are_problems_too() -> None:
    """An empty list of problems means that decode succeeds, whatever the manifest holds."""
    labels = powertool_manifest({"labels": {"a": 5}})
    assert [str(p) for p in problems_of(labels)] == ["metadata.labels[...]: Expected `str`, got `int`"]
    status = powertool_manifest() | {"status": {"phase": "Odd"}}
    assert [str(p) for p in problems_of(status)] == ["status.phase: Invalid enum value 'Odd'"]


def test_nulls_are_fields_that_are_absent() -> None:
    """The API server drops a null where none is accepted, also in what kubebuilder writes into metadata."""
    raw = powertool_manifest({"creationTimestamp": None})
    raw["metadata"]["creationTimestamp"] = None
    raw["metadata"]["labels"] = None
    raw["status"] = None
    raw["spec"]["tool"]["args"] = None
    raw["spec"]["security"] = None
    assert decode(raw) == a_powertool({"creationTimestamp": None})
    config = config_manifest()
    config["spec"]["security"]["capabilities"] = None
    assert problems_of(config) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"tool": {"name": 5}}, "spec.tool.name: must be a string, not 5"),
        ({"tool": {"duration": "soon"}}, 'spec.tool.duration: must be a Go duration such as 90s or 2m30s, not "soon"'),
        ({"tool": {"name": "a" * 41}}, "spec.tool.name: must have 1 to 40 characters, not 41"),
        ({"tool": {"args": "x"}}, 'spec.tool.args: must be a list, not "x"'),
        ({"tool": {"args": ["x"] * 65}}, "spec.tool.args: must have at most 64 entries, not 65"),
        ({"tool": {"args": [5]}}, "spec.tool.args[0]: must be a string, not 5"),
        ({"tool": {"maxCPUPercent": 0}}, "spec.tool.maxCPUPercent: must be between 1 and 100000, not 0"),
        ({"tool": {"maxCPUPercent": 2**63}}, f"spec.tool.maxCPUPercent: must be a whole number, not {2**63}"),
        ({"tool": {"arg": []}}, "spec.tool.arg: is no field of this kind: did you mean args?"),
        ({"hostNetwork": True}, "spec.hostNetwork: is no field of this kind"),
        ({"cancel": "true"}, 'spec.cancel: must be true or false, not "true"'),
        ({"targets": []}, "spec.targets: must be a mapping, not []"),
        ({"output": {"mode": "s3"}}, 'spec.output.mode: must be one of collector, ephemeral, pvc, not "s3"'),
        (
            {"targets": {"labelSelector": {"matchLabels": {f"l{i}": "" for i in range(65)}}}},
            "spec.targets.labelSelector.matchLabels: must have at most 64 entries, not 66",
        ),
        (
            {"targets": {"labelSelector": {"matchLabels": {"app": 5}}}},
            "spec.targets.labelSelector.matchLabels.app: must be a string, not 5",
        ),
    ],
)
def test_every_problem_names_its_field_and_what_would_be_accepted(spec: dict[str, Any], message: str) -> None:
    """A person can mend the manifest from the message alone."""
    assert message in [str(problem) for problem in problems_of(powertool_manifest(**spec))]


def test_lists_that_are_sets_or_maps_hold_nothing_twice() -> None:
    """The second one is named."""
    add = problems_of(config_manifest(security={"capabilities": {"add": ["KILL", "KILL"]}}))
    assert [str(p) for p in add] == ['spec.security.capabilities.add[1]: is given twice: "KILL"']
    env = problems_of(config_manifest(env=[{"name": "A"}, {"name": "A"}, 5]))
    assert [str(p) for p in env] == ["spec.env[2]: must be a mapping, not 5", 'spec.env[1]: is given twice: "A"']
    empty = problems_of(config_manifest(allowedNamespaces=[]))
    assert [str(p) for p in empty] == ["spec.allowedNamespaces: must have 1 to 256 entries, not 0"]


def test_long_values_are_cut_in_messages() -> None:
    """A message stays on one line and is for people."""
    (problem,) = problems_of(powertool_manifest(tool={"args": ["x" * 100, {"y": "\x1b" * 90}][1]}))
    assert len(problem.message) < 100
    assert "\x1b" not in problem.message


@pytest.mark.parametrize("depth", [100, 500, 900, 1400, 100_000])
@pytest.mark.parametrize("field", ["security", "unknown", "tool", "cancel"])
def test_depth_is_no_way_to_break_the_codec(depth: int, field: str) -> None:
    """A hostile file is refused like any other; a field that is refused needs no reading."""
    text = "".join(["{a: " * depth, "1", "}" * depth])
    manifest = f"kind: PowerTool\napiVersion: v1\nmetadata: {{name: a}}\nspec: {{{field}: {text}}}"
    if depth > 1000:
        with pytest.raises(DecodeError, match="is no YAML"):
            read_documents(manifest)
    else:
        (document,) = read_documents(manifest)
        assert any(problem.path.startswith(f"spec.{field}") for problem in problems_of(document.raw))


def test_deep_mappings_of_other_makers_are_refused_too() -> None:
    """What did not come through YAML may be deeper than it."""
    deep: Any = 1
    for _ in range(100_000):
        deep = {"a": deep}
    problems = problems_of(powertool_manifest(tool={"name": deep}) | {"kind": "PowerTool"})
    assert [str(problem) for problem in problems] == [
        "spec.tool.name: must be a string, not something nested too deeply"
    ]
    while isinstance(deep, dict):
        deep = deep.pop("a")


def test_what_problems_of_accepts_is_decoded() -> None:
    """For every manifest of the table: no problem exactly when there is a type."""
    for name, manifest in manifests():
        problems = problems_of(manifest)
        if problems:
            with pytest.raises(DecodeError):
                decode(manifest)
        else:
            assert decode(manifest), name


def test_what_was_decoded_is_written_and_read_again() -> None:
    """YAML in the order of the type, defaults left out."""
    run = a_powertool(tool={"args": ["-n"]}, cancel=True)
    assert decode(_read(to_yaml(run))) == run
    assert decode(to_builtins(a_config())) == a_config()
    assert to_yaml(run.spec.tool) == "name: aperf\nduration: 30s\nargs:\n- -n\n"


@pytest.mark.parametrize("file", sorted((HERE / "source").glob("*-config.yaml")), ids=lambda f: f.stem)
def test_every_config_of_the_source_document_loads(file: Path) -> None:
    """As written, ``capabilities:`` without a value included."""
    (document,) = read_documents(file.read_text(), source=file.name)
    assert isinstance(decode(document.raw), PowerToolConfig)


def test_manifests_of_the_go_implementation_load_or_are_refused_by_field() -> None:
    """What means something loads; what cannot is refused with every field that is to blame."""
    for document in read_documents((HERE / "go" / "loads.yaml").read_text()):
        assert decode(document.raw)
    for document in read_documents((HERE / "go" / "refused.yaml").read_text()):
        expected = set(document.raw["metadata"]["annotations"]["refused"].split())
        assert {problem.path for problem in problems_of(document.raw)} == expected
