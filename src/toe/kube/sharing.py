"""Lets objects share what is equal in them, since the pods of one template differ in little."""

from typing import Any

from msgspec import inspect
from msgspec.structs import force_setattr

REMEMBERED = 4096

_SHARED = (inspect.VarTupleType, inspect.TupleType, inspect.DictType)


class Sharing:
    """Replaces tuples and dictionaries of frozen structs by equal ones that another object has already.

    It looks at the fields of an object and of its parts (metadata, spec, status), no deeper. Nothing else changes: the
    values are equal and never written to. A pod takes about half the memory of one that shares nothing. After 4,096
    different values it starts over, so that it never holds on to much.
    """

    def __init__(self, struct: type[Any]) -> None:
        self._parts = _parts(struct)
        self._seen: dict[tuple[str, Any], Any] = {}

    def share(self, obj: Any) -> None:
        """Makes ``obj``, which nobody else has seen yet, use what is known already."""
        seen = self._seen
        for name, fields in self._parts:
            part = getattr(obj, name)
            if part is None:
                continue
            for field in fields:
                value = getattr(part, field)
                if not value:
                    continue
                key = (field, value if type(value) is tuple else tuple(value.items()))
                try:
                    known = seen.setdefault(key, value)
                except TypeError:  # there is a dictionary somewhere inside
                    continue
                if known is not value:
                    force_setattr(part, field, known)
        if len(seen) > REMEMBERED:
            seen.clear()


def _parts(struct: type[Any]) -> list[tuple[str, tuple[str, ...]]]:
    """Finds the parts of an object that have fields worth sharing."""
    parts = []
    info = inspect.type_info(struct)
    for field in info.fields if isinstance(info, inspect.StructType) else ():
        for part in _alternatives(field.type):
            if isinstance(part, inspect.StructType):
                names = [
                    inner.name
                    for inner in part.fields
                    if any(isinstance(kind, _SHARED) for kind in _alternatives(inner.type))
                ]
                if names:
                    parts.append((field.name, tuple(names)))
    return parts


def _alternatives(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    """Is the types that a value may have, without what is only written about them."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)
