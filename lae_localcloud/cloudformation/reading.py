"""A template's text as a tree: YAML with CloudFormation's short forms, or JSON.  Pure.

The tree has the long forms alone: ``!Ref X`` is ``{"Ref": "X"}``.
"""

from __future__ import annotations

from typing import Any

import yaml

#: Bytes of a template in a request's body, as AWS counts them.
BODY_LIMIT = 51_200
#: Levels of a template; deeper ones are no template, and no recursion of ours.
DEPTH = 60
_FUNCTIONS = (
    *("Base64", "Cidr", "FindInMap", "GetAtt", "GetAZs", "ImportValue", "Join"),
    *("Select", "Split", "Sub", "Transform", "And", "Equals", "If", "Not", "Or"),
)
_LONG = {
    "Ref": "Ref",
    "Condition": "Condition",
    **{name: f"Fn::{name}" for name in _FUNCTIONS},
}


class TemplateWrong(Exception):
    """AWS refuses the template with this sentence; another template may do."""


class _Loader(yaml.SafeLoader):
    """Dates stay texts, as in policies' versions; no name may stand there twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise TemplateWrong(
                "Template error: YAML aliases are not allowed in CloudFormation"
                " templates"
            )
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if not tag.endswith("timestamp")]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in node.value:
        name = loader.construct_object(key, deep=True)
        if not isinstance(name, str | int | float | bool):
            raise TemplateWrong("Template format error: YAML not well-formed.")
        if str(name) in found:
            raise TemplateWrong(f"Template format error: Duplicate key {name!s}")
        found[str(name)] = loader.construct_object(value, deep=True)
    return found


def _short(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if suffix not in _LONG:
        raise TemplateWrong(f"Template format error: unsupported tag !{suffix}")
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            name, _, attribute = value.partition(".")
            value = [name, attribute]
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = _mapping(loader, node)
    return {_LONG[suffix]: value}


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_multi_constructor("!", _short)


def read_tree(text: str) -> dict[str, Any]:
    """The tree of a template; raises :class:`TemplateWrong`."""
    size = len(text.encode())
    if size > BODY_LIMIT:
        raise TemplateWrong(
            "1 validation error detected: Value at 'templateBody' failed to satisfy"
            f" constraint: Member must have length less than or equal to {BODY_LIMIT}"
        )
    try:
        tree = yaml.load(text, _Loader)  # noqa: S506  (a safe loader)
    except (yaml.YAMLError, RecursionError, ValueError) as e:
        where = getattr(e, "problem_mark", None)
        line = "" if where is None else f" (line {where.line + 1})"
        raise TemplateWrong(
            f"Template format error: YAML not well-formed.{line}"
        ) from None
    if not isinstance(tree, dict):
        raise TemplateWrong("Template format error: unsupported structure.")
    _check_depth(tree)
    return tree


def _check_depth(tree: Any) -> None:
    level = [tree]
    for _ in range(DEPTH):
        level = [
            below
            for one in level
            for below in (one.values() if isinstance(one, dict) else one)
            if isinstance(below, dict | list)
        ]
        if not level:
            return
    raise TemplateWrong("Template format error: unsupported structure.")
