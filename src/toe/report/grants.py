"""What an administrator hands out so that somebody may run a tool in a namespace: the least that works, as RBAC.

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Literal

from toe.api.meta import GROUP, Struct
from toe.api.powertool import Requester
from toe.api.settings import Settings
from toe.policy.access import Question, entry_to, use_of
from toe.policy.request import JudgedConfig

Object = dict[str, Any]
SubjectKind = Literal["User", "Group", "ServiceAccount"]

RBAC = "rbac.authorization.k8s.io"
USER_ROLE, READER_ROLE = "powertool-user", "powertool-tools-reader"
"""Roles that are installed with toe."""
_READ = ("get", "list", "watch")
_USE = ("create", "update", "patch", "delete", *_READ)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,60}[a-z0-9])?")


class Subject(Struct, frozen=True):
    """Is who gets the rights."""

    kind: SubjectKind
    name: str
    namespace: str = ""
    """Of a service account."""

    @property
    def identity(self) -> Requester:
        """Is the subject as the API server would know it, in the groups that nobody has to be put into."""
        everybody = "system:authenticated"
        match self.kind:
            case "User":
                return Requester(username=self.name, groups=(everybody,))
            case "Group":
                return Requester(username="", groups=(self.name, everybody))
            case "ServiceAccount":
                accounts = "system:serviceaccounts"
                name = f"system:serviceaccount:{self.namespace}:{self.name}"
                return Requester(username=name, groups=(accounts, f"{accounts}:{self.namespace}", everybody))

    @property
    def slug(self) -> str:
        """Is the subject as a part of an object's name; what does not fit there is hashed, so two never meet."""
        stated = f"{self.namespace}.{self.name}" if self.namespace else self.name
        if self.kind == "User" and _NAME.fullmatch(stated):
            return stated
        readable = re.sub(r"[^a-z0-9]+", "-", stated.lower()).strip("-")[:40].strip("-")
        digest = hashlib.sha256(f"{self.kind}/{stated}".encode()).hexdigest()[:8]
        return f"{readable}-{digest}" if readable else digest

    def __str__(self) -> str:
        """Is the subject as people name it."""
        match self.kind:
            case "User":
                return self.name
            case "Group":
                return f"the group {self.name}"
            case "ServiceAccount":
                return f"the service account {self.namespace}:{self.name}"


class Grant(Struct, frozen=True):
    """Is one thing to hand out: what it is for, the rights that it gives, and the objects that give them."""

    purpose: str
    rights: tuple[Question, ...]
    objects: tuple[Object, ...]


def grants(judged: JudgedConfig, subject: Subject, namespace: str, settings: Settings) -> tuple[Grant, ...]:
    """Returns everything that running the tool in the namespace takes, in the order in which people meet it."""
    tool, system = judged.config.spec.name, settings.system_namespace
    found = [
        Grant(
            f"create and follow runs in {namespace}",
            tuple(Question(verb, "powertools", namespace, group=GROUP) for verb in _USE),
            (_binding(f"toe-user-{subject.slug}", namespace, "ClusterRole", USER_ROLE, subject),),
        )
    ]
    if (use := use_of(tool, judged.readiness.tier, namespace, settings)) is not None:
        rule = {"apiGroups": [GROUP], "resources": [use.resource], "resourceNames": [use.name], "verbs": [use.verb]}
        purpose = f"use {tool}, which is of tier {judged.readiness.tier}"
        found.append(Grant(purpose, (use,), _own(f"toe-use-{use.name}", use.namespace, [rule], subject)))
    if judged.readiness.reach and settings.require_target_access == "refuse":
        rule = {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}
        reach = ", ".join(judged.readiness.reach)
        purpose = f"enter the targets, since {tool} reaches {reach} and the profile {settings.profile} asks for it"
        found.append(Grant(purpose, (entry_to(namespace),), _own("toe-enter-targets", namespace, [rule], subject)))
    found.append(
        Grant(
            "see which tools there are",
            tuple(Question(verb, "powertoolconfigs", system, group=GROUP) for verb in _READ),
            (_binding(f"toe-tools-{subject.slug}", system, "Role", READER_ROLE, subject),),
        )
    )
    return tuple(found)


def results(namespace: str) -> tuple[Question, ...]:
    """Returns what choosing pods and reading results takes beside the grants; most people have it already."""
    return (Question("list", "pods", namespace), Question("get", "pods", namespace, subresource="log"))


def _own(name: str, namespace: str, rules: Sequence[Object], subject: Subject) -> tuple[Object, Object]:
    role = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": list(rules),
    }
    return role, _binding(f"{name}-{subject.slug}", namespace, "Role", name, subject)


def _binding(name: str, namespace: str, kind: str, role: str, subject: Subject) -> Object:
    who: Object = {"kind": subject.kind, "name": subject.name}
    who |= {"namespace": subject.namespace} if subject.kind == "ServiceAccount" else {"apiGroup": RBAC}
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": [who],
    }
