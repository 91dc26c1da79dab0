"""The reference pages, from the types they speak of (``make generate``). A test compares them with the disk."""

from collections.abc import Iterator
from pathlib import Path

from docs import metrics, podsecurity, programs, rights, values
from toe.api.crd import KINDS, Schema, schema_of
from toe.api.reasons import REASONS
from toe.policy.capabilities import CAPABILITIES, VERSION

REFERENCE = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """Returns every generated page by its file name."""
    kinds = {f"{kind.lower()}.md": _kind(kind) for kind in KINDS}
    own = {"reasons.md": _reasons(), "capabilities.md": _capabilities()}
    return {
        **kinds,
        **own,
        **metrics.pages(),
        **podsecurity.pages(),
        **programs.pages(),
        **rights.pages(),
        **values.pages(),
    }


def main() -> None:
    """Writes the pages."""
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text)


def _kind(kind: str) -> str:
    schema = schema_of(KINDS[kind])["properties"]
    parts = [f"# {kind}\n\n{_first_line(KINDS[kind])}\n"]
    for part in ("spec", "status"):
        parts.append(f"\n## {part}\n\n| field | type | meaning |\n| --- | --- | --- |\n")
        parts += [f"| `{path}` | {kind_} | {text} |\n" for path, kind_, text in _fields(schema[part], "")]
    rules = list(_rules(schema["spec"], "spec"))
    parts.append("\n## Rules\n\nRefused by the API server, and by `kubectl toe lint` without one:\n\n")
    parts += [f"- `{path}`: {message}\n" for path, message in rules]
    return "".join(parts)


def _fields(schema: Schema, path: str) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        bounds = [_type(field)]
        if name in required:
            bounds.append("required")
        yield here, ", ".join(bounds), _cell(field.get("description", ""))
        inner = field.get("items", field) if field.get("type") == "array" else field
        if not inner.get("x-kubernetes-preserve-unknown-fields"):
            yield from _fields(inner, here + ("[]" if field.get("type") == "array" else ""))


def _type(field: Schema) -> str:
    match field.get("type"):
        case "array":
            return f"list of {_type(field['items'])}, at most {field['maxItems']}"
        case "string" if "enum" in field:
            return " or ".join(field["enum"])
        case "string":
            return f"text, at most {field.get('maxLength')}" if "maxLength" in field else "text"
        case "integer":
            return f"number, {field['minimum']} to {field['maximum']}" if "minimum" in field else "number"
        case "boolean":
            return "true or false"
        case "object" if "additionalProperties" in field:
            return "map"
        case _:
            return "object"


def _rules(schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield path + rule.get("fieldPath", ""), _cell(rule["message"])
    for name, field in schema.get("properties", {}).items():
        inner = field.get("items", field) if field.get("type") == "array" else field
        yield from _rules(inner, f"{path}.{name}" + ("[]" if field.get("type") == "array" else ""))


def _reasons() -> str:
    rows = "".join(f"| `{reason}` | {_cell(sentence)} |\n" for reason, sentence in REASONS.items())
    where = "Reasons of conditions, targets, events and refusals."
    return f"# Reasons\n\n{where}\n\n| reason | meaning |\n| --- | --- |\n{rows}"


def _capabilities() -> str:
    rows = "".join(
        f"| {c.number} | `{c.name}` | {c.tier} | {_tick(c.baseline)} | {_tick(c.default)} | {c.gives} |\n"
        for c in CAPABILITIES
    )
    head = (
        f"# The 41 capabilities\n\nVersion {VERSION} of the table. *baseline*: Pod Security baseline permits it. "
        "*default*: containerd grants it unless it is dropped.\n\n"
        "| # | capability | tier | baseline | default | what it gives a tool |\n"
    )
    return f"{head}| --- | --- | --- | --- | --- | --- |\n{rows}"


def _tick(holds: bool) -> str:
    return "yes" if holds else ""


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
