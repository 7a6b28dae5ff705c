"""Answers of the query protocol, written by the service's model."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

from lae_localcloud.exchange import ApiResponse, request_id
from lae_localcloud.models.service_models import operation_model


def query_answer(service: str, action: str, told: dict[str, Any]) -> ApiResponse:
    """The answer to a call; raises KeyError for what is in no model."""
    operation = operation_model(service, action)
    space = operation.service_model.metadata["xmlNamespace"]
    root = ET.Element(f"{action}Response", {"xmlns": space})
    shape = operation.output_shape
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper", f"{action}Result")
        _fill(ET.SubElement(root, wrapper), shape, told)
    metadata = ET.SubElement(root, "ResponseMetadata")
    ET.SubElement(metadata, "RequestId").text = request_id()
    body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return ApiResponse(200, (("content-type", "text/xml"),), body)


def _fill(element: ET.Element, shape: Any, value: Any) -> None:
    match shape.type_name:
        case "structure":
            for name, inner in value.items():
                if inner is None:
                    continue
                member = shape.members[name]
                tag = member.serialization.get("name", name)
                _fill(ET.SubElement(element, tag), member, inner)
        case "list":
            tag = shape.member.serialization.get("name", "member")
            for inner in value:
                _fill(ET.SubElement(element, tag), shape.member, inner)
        case "map":
            for key, inner in value.items():
                entry = ET.SubElement(element, "entry")
                ET.SubElement(entry, "key").text = str(key)
                _fill(ET.SubElement(entry, "value"), shape.value, inner)
        case "boolean":
            element.text = "true" if value else "false"
        case "timestamp":
            assert isinstance(value, datetime)
            element.text = value.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        case _:
            element.text = str(value)
