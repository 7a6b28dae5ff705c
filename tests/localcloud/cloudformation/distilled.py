"""What the local cloud keeps of the resource types' schemas that AWS publishes.

``python -m tests.localcloud.cloudformation.distilled`` writes it anew, from cfn-lint.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cfnlint.data.schemas

from lae_localcloud.cloudformation.kinds.table import KINDS
from lae_localcloud.cloudformation.schemas import FILE

#: Of a type, and of a property; the rest are descriptions.
_OF_TYPE = ("createOnlyProperties", "conditionalCreateOnlyProperties")
_OF_TYPE += ("readOnlyProperties", "primaryIdentifier", "required", "definitions")
_OF_TYPE += ("properties", "additionalProperties")
_OF_PROPERTY = ("type", "items", "properties", "required", "additionalProperties")
_OF_PROPERTY += ("enum", "minimum", "maximum", "maxLength", "minLength", "$ref")
_OF_PROPERTY += ("uniqueItems",)


def _lean(schema: Any) -> Any:
    kept = {k: schema[k] for k in _OF_PROPERTY if k in schema}
    if "items" in kept:
        kept["items"] = _lean(kept["items"])
    if "properties" in kept:
        kept["properties"] = {k: _lean(v) for k, v in kept["properties"].items()}
    return kept


def _used(schema: Any, definitions: dict[str, Any]) -> set[str]:
    """The definitions that are referred to, however deep."""
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            named = str(one.get("$ref", "")).rpartition("/")[2]
            if named and named not in found:
                found.add(named)
                waiting.append(definitions[named])
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


def distil() -> dict[str, Any]:
    """The schemas of all types that the local cloud makes."""
    folder = Path(cfnlint.data.schemas.__file__).parent
    index = json.loads((folder / "providers" / "us-east-1.json").read_text())
    found = {}
    for name in sorted(KINDS):
        whole = json.loads((folder / "resources" / f"{index[name]}.json").read_text())
        kept = {k: whole[k] for k in _OF_TYPE if whole.get(k)}
        kept["properties"] = {k: _lean(v) for k, v in kept["properties"].items()}
        definitions = {k: _lean(v) for k, v in kept.get("definitions", {}).items()}
        used = sorted(_used(kept["properties"], definitions))
        kept["definitions"] = {k: definitions[k] for k in used}
        found[name] = kept
    return found


def as_text(schemas: dict[str, Any]) -> str:
    """One type a line."""
    lines = (
        f"{json.dumps(k)}: {json.dumps(v, sort_keys=True)}" for k, v in schemas.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(as_text(distil()))
