"""What we may do: asked by access reviews, which store nothing, before anything is written.

A SelfSubjectRulesReview for a namespace that does not exist says in one answer what is granted on the whole cluster,
and whether that is all. Where it may not be, since some authorizers cannot list their rules, what it does not show is
asked right by right (SelfSubjectAccessReview), and only such a No is a gap. A right in one namespace is asked so too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiconform.engine.api import Api, Obj
from aiconform.engine.rights import (
    DISCOVERY,
    GUARDS,
    NAMING,
    OPTIONAL,
    WRITING,
    Right,
    chosen,
    granting,
    grouped,
    parse,
    served,
    together,
)
from aiconform.engine.undecidable import RefusedError

if TYPE_CHECKING:
    from aiconform.engine.facts import Facts
    from aiconform.engine.model import Check

_REVIEWS = "/apis/authorization.k8s.io/v1"
ENGINE = "every requirement"
KNOWING = "what is known of the cluster"
BOUNDS = "what bounds a run"


@dataclass(frozen=True)
class Access:
    """What came of asking.

    Attributes:
        asked: the rights that were asked for.
        missing: those that were refused.
        unknown: why it cannot be told, where reviews are not answered; empty where they are.
        reviews: how many access reviews were asked one by one.
    """

    asked: tuple[Right, ...]
    missing: tuple[Right, ...]
    unknown: str = ""
    reviews: int = 0


async def review(api: Api, wanted: Iterable[Right], *, namespace: str) -> Access:
    """Which of the rights are missing.

    Args:
        api: to ask with.
        wanted: the rights.
        namespace: the name of one that does not exist.

    Raises:
        UndecidableError: no usable answer came.
    """
    asked = together(wanted)
    try:
        not_listed, whole = await _not_listed(api, asked, namespace)
        doubtful = [right for right in not_listed if right.namespace or not whole]
        denied = [right for right in doubtful if not await _allowed(api, right)]
    except RefusedError as refused:
        return Access(asked, (), f"access reviews are refused: {refused.cause}")
    missing = tuple(right for right in not_listed if right in denied or right not in doubtful)
    return Access(asked, missing, "", len(doubtful))


async def _not_listed(api: Api, asked: Iterable[Right], namespace: str) -> tuple[list[Right], bool]:
    """The rights that no rule shows, and whether the rules are known to be all there are."""
    body = {**_head("SelfSubjectRulesReview"), "spec": {"namespace": namespace}}
    answer = await api.ask(f"{_REVIEWS}/selfsubjectrulesreviews", body)
    status = answer.get("status") or {}
    listed = [granting(rule) for rule in status.get("resourceRules") or ()]
    whole = status.get("incomplete") is False and not status.get("evaluationError")
    return [right for right in asked if not any(gives(right) for gives in listed)], whole


async def _allowed(api: Api, right: Right) -> bool:
    resource, _, sub = right.resource.partition("/")
    about = {"verb": right.verb, "group": right.group, "resource": resource, "subresource": sub, "name": right.name}
    about["namespace"] = right.namespace
    attributes = {key: value for key, value in about.items() if value}
    body = {**_head("SelfSubjectAccessReview"), "spec": {"resourceAttributes": attributes}}
    answer = await api.ask(f"{_REVIEWS}/selfsubjectaccessreviews", body)
    return (answer.get("status") or {}).get("allowed") is True


def _head(kind: str) -> Obj:
    return {"apiVersion": "authorization.k8s.io/v1", "kind": kind}


def of_check(check: Check, facts: Facts | None, groups: Iterable[str] | None = None) -> tuple[Right, ...]:
    """What a check needs on a cluster.

    Args:
        check: which.
        facts: what is known of the cluster; None: nothing, and of what depends on it all is needed sometimes.
        groups: the group versions that are served, where that alone is known; None: any.
    """
    every = chosen(check.rights, facts)
    known = facts.groups if facts is not None else groups
    return every if known is None else served(every, known)


def of_discovery(groups: Iterable[str] | None) -> tuple[Right, ...]:
    """What discovery can do without, where these group versions are served; None: on any cluster."""
    every = parse(*OPTIONAL)
    return every if groups is None else served(every, groups)


def of_guards() -> tuple[Right, ...]:
    """What a run can do without, and is then not bounded or does not know what holds it up."""
    return parse(*GUARDS, *NAMING)


def of_engine() -> tuple[Right, ...]:
    """What every run needs."""
    return parse(*DISCOVERY, *WRITING)


def costs(missing: Iterable[Right], needed: Mapping[str, Iterable[Right]]) -> dict[Right, tuple[str, ...]]:
    """What each missing right costs.

    Returns:
        Names of requirements; :data:`ENGINE` where nothing can run without it; :data:`KNOWING` or :data:`BOUNDS`,
        perhaps beside some, where a run goes on without.
    """
    sets = {name: set(rights) for name, rights in needed.items()}
    engine, knowing, bounds = set(of_engine()), set(parse(*OPTIONAL)), set(of_guards())
    found: dict[Right, tuple[str, ...]] = {}
    for right in missing:
        names = tuple(name for name, rights in sets.items() if right in rights)
        if right in engine:
            names = (ENGINE,)
        elif right in knowing or right in bounds:
            names = (*names, KNOWING if right in knowing else BOUNDS)
        found[right] = names
    return found


def told(prices: Mapping[Right, Sequence[str]]) -> tuple[str, ...]:
    """For people: in one line the rights on one thing that cost the same."""
    alike: dict[tuple[str, ...], list[Right]] = {}
    for right, names in prices.items():
        alike.setdefault((str(right).partition(" ")[2], *names), []).append(right)
    return tuple(f"{grouped(rights)[0]}: costs {', '.join(names)}" for (_, *names), rights in alike.items())


def words(missing: Iterable[Right]) -> str:
    """The reason why a requirement is not examined."""
    return f"without the right to {'; '.join(grouped(missing))}"
