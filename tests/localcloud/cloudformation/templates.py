"""Templates as Hypothesis draws them: graphs of resources that refer to each other."""

from __future__ import annotations

import string
from typing import Any

import yaml
from hypothesis import strategies as st

GROUP = "AWS::Logs::LogGroup"
names = st.text(string.ascii_uppercase, min_size=1, max_size=3)
words = st.text(string.ascii_letters + string.digits + " -/.", max_size=12)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, frozenset[str]]:
    """What each resource needs; without circles, as each needs only earlier ones."""
    order = draw(st.lists(names, min_size=1, max_size=8, unique=True))
    return {
        name: draw(st.frozensets(st.sampled_from(order[:place])))
        if place
        else frozenset()
        for place, name in enumerate(order)
    }


def template_of(needs: dict[str, frozenset[str]], **more: Any) -> str:
    """A template with these references, by Ref, GetAtt, Sub and DependsOn in turn."""
    resources: dict[str, Any] = {}
    for name, needed in needs.items():
        one: dict[str, Any] = {"Type": GROUP, "Properties": {}}
        tags = []
        for place, of in enumerate(sorted(needed)):
            match place % 4:
                case 0:
                    tags.append({"Key": of, "Value": {"Ref": of}})
                case 1:
                    tags.append({"Key": of, "Value": {"Fn::GetAtt": [of, "Arn"]}})
                case 2:
                    tags.append({"Key": of, "Value": {"Fn::Sub": f"x-${{{of}.Arn}}"}})
                case _:
                    one.setdefault("DependsOn", []).append(of)
        if tags:
            one["Properties"]["Tags"] = tags
        resources[name] = one
    return yaml.safe_dump({"Resources": resources, **more})
