"""A copy of one collection as the server has it, with indexes. Pure: told what happened, it keeps the newest.

Which of two states is newer is decided by comparing resourceVersions as integers. Kubernetes promises that within one
resource type since 1.35, and etcd's revisions, which they are, have always been so.
Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions (KEP-5504)
"""

import builtins
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, Literal, TypeVar

from toe.api.meta import LabelSelector
from toe.kube.resource import Named

T = TypeVar("T", bound=Named)
Key = tuple[str, str]
OnChange = Callable[[T | None, T | None], None]
EventType = Literal["ADDED", "MODIFIED", "DELETED"]

TOMBSTONES = 4096
_NOTHING: frozenset[Key] = frozenset()


class Mirror(Generic[T]):
    """Holds the objects of one collection by (namespace, name).

    ``on_change(old, new)`` is called after each change, with None for what was or is not there. An object that was
    deleted and made again under its name is two changes: gone, then new. ``partial`` says that a selector keeps
    objects out, so that an object which is unknown here may well be rightly unknown.
    """

    def __init__(
        self,
        on_change: OnChange[T],
        indexes: Mapping[str, Callable[[T], Iterable[Hashable]]] | None = None,
        *,
        partial: bool = False,
    ) -> None:
        self._objects: dict[Key, T] = {}
        self._on_change = on_change
        self._partial = partial
        self._functions = dict(indexes or {})
        self._indexes: dict[str, dict[Hashable, set[Key]]] = {name: {} for name in self._functions}
        self._labels: dict[tuple[str, str, str], set[Key]] = {}  # (namespace, label, value)
        self._namespaces: dict[str, set[Key]] = {}
        self._graves: OrderedDict[str, int] = OrderedDict()  # uid -> version of its end
        self._listed_at = 0  # version of the last list: events up to it are in it
        self.position = 0  # everything the server did up to this version is in here

    def __len__(self) -> int:
        """Is how many objects there are."""
        return len(self._objects)

    def get(self, namespace: str, name: str) -> T | None:
        """Returns one object, None if it is not there. The namespace of a cluster-wide object is empty."""
        return self._objects.get((namespace, name))

    def list(self, namespace: str | None = None) -> list[T]:
        """Returns all objects, or those of one namespace, in no particular order."""
        if namespace is None:
            return [*self._objects.values()]
        return [self._objects[key] for key in self._namespaces.get(namespace, _NOTHING)]

    def by_index(self, name: str, key: Hashable) -> builtins.list[T]:
        """Returns the objects for which the index ``name`` gave ``key``."""
        return [self._objects[found] for found in self._indexes[name].get(key, _NOTHING)]

    def select(self, namespace: str, selector: LabelSelector) -> builtins.list[T]:
        """Returns the objects of ``namespace`` that ``selector`` matches, looking only at the rarest label's bearers.

        An empty selector matches all, as in Kubernetes; whether that is wanted is the caller's question.
        """
        sets = [
            self._labels.get((namespace, label, value), _NOTHING)
            for label, value in (selector.match_labels or {}).items()
        ]
        keys = min(sets, key=len) if sets else self._namespaces.get(namespace, _NOTHING)
        objects = [self._objects[key] for key in keys]
        return [obj for obj in objects if selector.matches(obj.metadata.labels)]

    def apply(self, kind: EventType, obj: T) -> None:
        """Takes in one watch event. Events that come twice or late change nothing."""
        meta = obj.metadata
        version = int(meta.resource_version)
        if version <= self._listed_at:
            return
        if version > self.position:
            self.position = version
        if kind != "DELETED":
            self._take(obj, version)
            return
        old = self._objects.get(meta.key)
        self._bury(meta.uid, version)
        if old is not None and old.metadata.uid == meta.uid and int(old.metadata.resource_version) <= version:
            self._remove(old)

    def observe(self, obj: T) -> None:
        """Takes in what a write returned, so that the writer reads it at once (read your writes).

        Ignored when something newer is here already; when the object is unknown and the server's story has been heard
        beyond its version, for then it has been deleted since; and when it is unknown to a partial mirror.
        """
        version = int(obj.metadata.resource_version)
        if obj.metadata.key not in self._objects and (self._partial or version <= self.position):
            return
        self._take(obj, version)

    def forget(self, namespace: str, name: str, version: int) -> None:
        """Takes note that the object's state at ``version`` cannot be understood: it counts as absent."""
        self.position = max(self.position, version)
        old = self._objects.get((namespace, name))
        if old is not None and int(old.metadata.resource_version) < version:
            self._remove(old)

    def replace(self, objects: Iterable[T], version: int, *, asked_at: int = 0) -> None:
        """Takes in a consistent list of everything as of ``version``; what it lacks has been deleted meanwhile.

        Only what a write returned after ``version`` is kept. ``asked_at`` is :attr:`position` from before the list was
        asked for: a list that is older was made by a server whose history was set back (etcd restored from a backup).
        Then the list alone is true, whatever is here.
        """
        listed = {obj.metadata.key: obj for obj in objects}
        set_back = version < asked_at
        if set_back:
            self._graves.clear()
            self.position = version
        for key, old in [*self._objects.items()]:
            new = listed.get(key)
            if new is not None and not (set_back and new != old):
                continue
            if set_back or int(old.metadata.resource_version) <= version:
                if not set_back:
                    self._bury(old.metadata.uid, version)
                self._remove(old)
        self.position = max(self.position, version)
        self._listed_at = version
        for obj in listed.values():
            self._take(obj, int(obj.metadata.resource_version))

    def _take(self, obj: T, version: int) -> None:
        """Stores ``obj`` if it is newer than what is known of its name and of its life."""
        meta = obj.metadata
        if version <= self._graves.get(meta.uid, -1):
            return
        old = self._objects.get(meta.key)
        if old is not None:
            if int(old.metadata.resource_version) >= version:
                return
            if old.metadata.uid != meta.uid:
                self._bury(old.metadata.uid, version)
                self._remove(old)
                old = None
        self._objects[meta.key] = obj
        self._index(old, obj)
        self._on_change(old, obj)

    def _remove(self, old: T) -> None:
        del self._objects[old.metadata.key]
        self._index(old, None)
        self._on_change(old, None)

    def _bury(self, uid: str, version: int) -> None:
        """Remembers the end of a life, for the last 4096 that ended, so that nothing late brings it back."""
        self._graves[uid] = max(version, self._graves.get(uid, version))
        self._graves.move_to_end(uid)
        if len(self._graves) > TOMBSTONES:
            self._graves.popitem(last=False)

    def _index(self, old: T | None, new: T | None) -> None:
        meta = (new or old).metadata  # type: ignore[union-attr]  # one of them is there
        key, namespace = meta.key, meta.namespace
        if old is None or new is None:
            _move(self._namespaces, key, () if old is None else (namespace,), () if new is None else (namespace,))
        before = old.metadata.labels if old is not None else None
        after = new.metadata.labels if new is not None else None
        if before != after:
            _move(
                self._labels,
                key,
                [(namespace, *pair) for pair in (before or {}).items()],
                [(namespace, *pair) for pair in (after or {}).items()],
            )
        for name, function in self._functions.items():
            _move(
                self._indexes[name],
                key,
                () if old is None else [*function(old)],
                () if new is None else [*function(new)],
            )


Entry = TypeVar("Entry", bound=Hashable)


def _move(index: dict[Entry, set[Key]], key: Key, before: Iterable[Entry], after: Iterable[Entry]) -> None:
    """Takes ``key`` out of the entries ``before`` and puts it into those ``after``; empty entries are dropped."""
    if before == after:
        return
    for entry in before:
        found = index.get(entry)
        if found is not None:
            found.discard(key)
            if not found:
                del index[entry]
    for entry in after:
        index.setdefault(entry, set()).add(key)
