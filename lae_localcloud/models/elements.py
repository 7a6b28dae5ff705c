"""XML bodies (Route 53, S3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

from attrs import define, field

from lae_localcloud.models.leaves import leaf


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


@define
class _Reader:
    complaints: list[str] = field(factory=list)

    def value(self, shape: Any, element: ET.Element, path: str) -> Any:
        match shape.type_name:
            case "structure":
                return self.structure(shape, element, path)
            case "list":
                return self.sequence(shape, list(element), path)
        try:
            return leaf(shape, element.text or "")
        except ValueError as e:
            self.complaints.append(f"{path} {e}")
            return None

    def sequence(
        self, shape: Any, elements: Sequence[ET.Element], path: str
    ) -> Sequence[Any]:
        name = shape.member.serialization.get("name", "member")
        for element in elements:
            if _local(element) != name and not shape.serialization.get("flattened"):
                self.complaints.append(f"{path}.{_local(element)} is in no model")
        return [
            self.value(shape.member, element, f"{path}.{n}")
            for n, element in enumerate(elements, 1)
        ]

    def structure(self, shape: Any, element: ET.Element, path: str) -> dict[str, Any]:
        children: dict[str, list[ET.Element]] = {}
        for child in element:
            children.setdefault(_local(child), []).append(child)
        found: dict[str, Any] = {}
        for member, inner in shape.members.items():
            said = inner.serialization
            name = _element_name(member, inner)
            if said.get("xmlAttribute"):
                self._attribute(member, inner, element, found)
            elif (own := children.pop(name, None)) is not None:
                found[member] = self._member(inner, own, f"{path}.{member}")
        self.complaints += [f"{path}.{name} is in no model" for name in children]
        return found

    def _member(self, shape: Any, own: list[ET.Element], path: str) -> Any:
        if shape.type_name == "list" and shape.serialization.get("flattened"):
            return self.sequence(shape, own, path)
        if len(own) > 1:
            self.complaints.append(f"{path} stands there {len(own)} times")
        return self.value(shape, own[0], path)

    @staticmethod
    def _attribute(
        member: str, shape: Any, element: ET.Element, found: dict[str, Any]
    ) -> None:
        name = str(shape.serialization.get("name", member)).rpartition(":")[2]
        for attribute, value in element.attrib.items():
            if attribute.rpartition("}")[2] == name:
                found[member] = value


def _element_name(member: str, shape: Any) -> str:
    said = shape.serialization
    if shape.type_name == "list" and said.get("flattened"):
        # The elements of a flattened list stand there under their own name.
        return str(shape.member.serialization.get("name", said.get("name", member)))
    return str(said.get("name", member))


def read_xml(shape: Any, root: str, body: bytes) -> tuple[dict[str, Any], list[str]]:
    """What a body says as *shape*, and what is wrong with it, in words.

    *root* is the name that its first element must have.
    """
    try:
        element = ET.fromstring(body)  # noqa: S314  (from ourselves, and no entities)
    except ET.ParseError as e:
        return {}, [f"the body is no XML: {e}"]
    reader = _Reader()
    if _local(element) != root:
        reader.complaints.append(f"the body is a {_local(element)}, and no {root}")
    return reader.structure(shape, element, root), reader.complaints
