"""The account's template, with its parameters filled in, as CloudFormation reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lae_protocol.process.resources import config_folder

TEMPLATE = config_folder() / "cloudformation" / "s4.yaml"
BACKUP = TEMPLATE.with_name("backup.yaml")
#: What leaves no trace where it stands.
_NOTHING = object()


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms: ``!Ref x`` as ``{"Ref": "x"}``."""


def _construct(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _construct)


@cache
def load_template(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template as it is written."""
    found: dict[str, Any] = yaml.load(path.read_text(), _Loader)
    return found


#: The functions that work on resolved arguments alone.
_PURE: dict[str, Callable[[Any], Any]] = {
    "Fn::Equals": lambda pair: str(pair[0]) == str(pair[1]),
    "Fn::Not": lambda one: not one[0],
    "Fn::And": all,
    "Fn::Or": any,
    "Fn::Join": lambda told: told[0].join(told[1]),
    "Fn::Base64": lambda text: text,
}


class Filled:
    """The template with *parameters*; an id that AWS gives is the thing's name in
    angle brackets, or what *ids* say (``{"SealingKey.Arn": "arn:..."}``).
    """

    def __init__(
        self,
        parameters: Mapping[str, str],
        ids: Mapping[str, str] | None = None,
        *,
        account: str = "123456789012",
        region: str = "eu-west-1",
    ) -> None:
        self.template = load_template()
        defaults = {
            name: str(p["Default"])
            for name, p in self.template["Parameters"].items()
            if "Default" in p
        }
        unknown = set(parameters) - set(self.template["Parameters"])
        assert not unknown, unknown
        self._values: dict[str, Any] = {
            **defaults,
            **parameters,
            "AWS::AccountId": account,
            "AWS::Region": region,
            "AWS::Partition": "aws",
            "AWS::NoValue": _NOTHING,
        }
        self._ids = ids or {}

    def holds(self, condition: str) -> bool:
        return bool(self._resolve(self.template["Conditions"][condition]))

    def resources(self) -> dict[str, dict[str, Any]]:
        """The resources that there would be, by their names in the template."""
        return {
            name: self._resolve({k: v for k, v in r.items() if k != "Condition"})
            for name, r in self.template["Resources"].items()
            if "Condition" not in r or self.holds(r["Condition"])
        }

    def properties(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.resources()[name]["Properties"]
        return found

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            made = (self._resolve(one) for one in value)
            return [one for one in made if one is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._call(name, argument)
            if name == "Condition" and isinstance(argument, str):
                return self.holds(argument)
        made_of = {k: self._resolve(v) for k, v in value.items()}
        return {k: v for k, v in made_of.items() if v is not _NOTHING}

    def _call(self, name: str, argument: Any) -> Any:
        if name in ("Ref", "Fn::GetAtt"):
            wanted = argument if name == "Ref" else ".".join(argument)
            if wanted in self._values:
                return self._values[wanted]
            return self._ids.get(wanted, f"<{wanted}>")
        if name == "Fn::Sub":
            text, local = argument if isinstance(argument, list) else (argument, {})
            return re.sub(r"\$\{([\w:.]+)\}", lambda m: self._sub(m[1], local), text)
        if name == "Fn::If":
            condition, then, otherwise = argument
            return self._resolve(then if self.holds(condition) else otherwise)
        return _PURE[name](self._resolve(argument))

    def _sub(self, name: str, local: Mapping[str, Any]) -> str:
        if name in local:
            return str(self._resolve(local[name]))
        if "." in name and "::" not in name:
            return str(self._call("Fn::GetAtt", name.split(".", 1)))
        return str(self._call("Ref", name))
