"""The query protocols (EC2's, and that of IAM and STS): a tree in a form's names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, field

from lae_localcloud.models.leaves import leaf

#: In every form, and in no model.
_ENVELOPE = frozenset({"Action", "Version"})


@define
class _Form:
    pairs: dict[str, str]
    ec2: bool
    complaints: list[str] = field(factory=list)
    used: set[str] = field(factory=set)

    def below(self, prefix: str) -> bool:
        """Tell whether anything stands under this name."""
        return any(n == prefix or n.startswith(prefix + ".") for n in self.pairs)

    def numbers(self, prefix: str) -> Iterator[str]:
        """``PREFIX.1``, ``PREFIX.2``… as far as they go without a gap."""
        number = 1
        while self.below(f"{prefix}.{number}"):
            yield f"{prefix}.{number}"
            number += 1

    def name(self, member: str, shape: Any) -> str:
        """What a structure's member is called in the form."""
        said = shape.serialization
        if not self.ec2:
            return str(said.get("name", member))
        if "queryName" in said:
            return str(said["queryName"])
        name = str(said.get("name", member))
        return name[0].upper() + name[1:]

    def value(self, shape: Any, prefix: str) -> Any:
        match shape.type_name:
            case "structure":
                return self.structure(shape, prefix + ".")
            case "list":
                return self.list(shape, prefix)
            case "map":
                return self.map(shape, prefix)
        self.used.add(prefix)
        text = self.pairs.get(prefix, "")
        try:
            return leaf(shape, text)
        except ValueError as e:
            self.complaints.append(f"{prefix} {e}")
            return None

    def structure(self, shape: Any, prefix: str) -> dict[str, Any]:
        found = {}
        for member, inner in shape.members.items():
            name = prefix + self.name(member, inner)
            if self.below(name):
                found[member] = self.value(inner, name)
        return found

    def list(self, shape: Any, prefix: str) -> list[Any]:
        if self.pairs.get(prefix) == "":
            self.used.add(prefix)
            return []
        if not self.ec2 and not shape.serialization.get("flattened"):
            prefix += "." + shape.member.serialization.get("name", "member")
        return [self.value(shape.member, name) for name in self.numbers(prefix)]

    def map(self, shape: Any, prefix: str) -> dict[str, Any]:
        if not shape.serialization.get("flattened"):
            prefix += ".entry"
        key = shape.key.serialization.get("name", "key")
        value = shape.value.serialization.get("name", "value")
        return {
            self.value(shape.key, f"{at}.{key}"): self.value(
                shape.value, f"{at}.{value}"
            )
            for at in self.numbers(prefix)
        }


def read_form(
    operation: Any, pairs: dict[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """The input, and what cannot be read or is in no model, in words."""
    service = operation.service_model
    form = _Form(pairs, ec2=service.metadata["protocol"] == "ec2")
    version = pairs.get("Version")
    if version != service.api_version:
        form.complaints.append(f"Version is {version}, and {service.api_version} now")
    shape = operation.input_shape
    found = {} if shape is None else form.structure(shape, "")
    unknown = sorted(set(pairs) - form.used - _ENVELOPE)
    return found, [*form.complaints, *(f"{name} is in no model" for name in unknown)]
