"""In which order a template's resources are made.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from lae_localcloud.cloudformation.evaluation import references
from lae_localcloud.cloudformation.reading import TemplateWrong
from lae_localcloud.cloudformation.template import Template, unresolved

#: By name of a resource: those that it needs.
Needs = Mapping[str, frozenset[str]]


def included(template: Template, conditions: Mapping[str, bool]) -> frozenset[str]:
    """The resources whose condition holds, or that have none."""
    return frozenset(
        name
        for name, one in template.resources.items()
        if one.condition is None or conditions[one.condition]
    )


def find_needs(template: Template, conditions: Mapping[str, bool]) -> Needs:
    """What each included resource needs; raises :class:`TemplateWrong`."""
    there = included(template, conditions)
    needs = {}
    for name in sorted(there):
        one = template.resources[name]
        asked = {of for of, _ in references(one.properties, conditions)}
        asked = {of for of in asked if "::" not in of and of not in template.parameters}
        if asked - there:
            raise unresolved(asked - there)
        # What a false condition leaves out need not be waited for.
        needs[name] = frozenset(asked | (set(one.depends_on) & there))
    _check_outputs(template, conditions, there)
    check_circles(needs)
    return needs


def _check_outputs(
    template: Template, conditions: Mapping[str, bool], there: AbstractSet[str]
) -> None:
    for one in template.outputs.values():
        if one.condition is not None and not conditions[one.condition]:
            continue
        asked = {of for of, _ in references([one.value, one.export], conditions)}
        asked = {of for of in asked if "::" not in of and of not in template.parameters}
        if asked - there:
            raise unresolved(asked - there, "Outputs")


def check_circles(needs: Needs) -> None:
    """Raise :class:`TemplateWrong` where some wait for each other."""
    left = dict(needs)
    while left:
        free = {name for name, needed in left.items() if not needed & left.keys()}
        if not free:
            names = ", ".join(sorted(_in_circle(left)))
            raise TemplateWrong(
                "Template format error: Circular dependency between resources:"
                f" [{names}]"
            )
        for name in free:
            del left[name]


def _in_circle(left: Needs) -> set[str]:
    """Without those that only wait for a circle."""
    there = set(left)
    while True:
        needed = {of for name in there for of in left[name]}
        if there <= needed:
            return there
        there &= needed


def ready(needs: Needs, waiting: Iterable[str], done: AbstractSet[str]) -> list[str]:
    """Those of *waiting* that nothing holds up any more, in order of their names."""
    return sorted(
        name
        for name in waiting
        if all(of in done or of not in needs for of in needs[name])
    )


def turned(needs: Needs) -> Needs:
    """The same for taking away: a resource waits for whoever needs it."""
    return {
        name: frozenset(of for of, needed in needs.items() if name in needed)
        for name in needs
    }
