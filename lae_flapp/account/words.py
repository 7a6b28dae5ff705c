"""What ``lae account`` prints."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from attrs import asdict

from lae_provision.account.desired import Desired
from lae_provision.account.difference import Difference
from lae_provision.account.plan import Plan

#: Grows when a key goes or changes its meaning.
VERSION = 1
_WIDTH = 78


def head(desired: Desired, who: str) -> str:
    """Which account, and as whom."""
    return (
        f"{desired.deployment} in AWS account {desired.account}, {desired.region}\n"
        f"as {who}"
    )


def step_line(difference: Difference) -> str:
    """What ``apply`` does, in one line."""
    sign = "+" if difference.step == "create" else "~"
    return f"{sign} {difference.thing} {difference.name}"


def line(difference: Difference) -> str:
    """One difference in one line, for logs and monitoring."""
    return (
        f"{difference.thing} {difference.name}: {difference.found};"
        f" shall be: {difference.wanted}"
    )


def told(difference: Difference) -> str:
    """One difference, for a person."""
    sign = step_line(difference) if difference.step else _by_hand(difference)
    what = difference.wanted
    if difference.step != "create":
        what = f"{difference.found}; shall be: {what}"
    lines = [sign, *_indented(what)]
    for line in difference.more:
        lines += _indented(line, "      ")
    if difference.remedy:
        # Never broken: most of them are commands.
        lines.append(f"    by hand: {difference.remedy}")
    return "\n".join(lines)


def _by_hand(difference: Difference) -> str:
    return f"! {difference.thing} {difference.name}"


def _indented(text: str, by: str = "    ") -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=by,
        subsequent_indent=by + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def summary(plan: Plan) -> str:
    """How many of each."""
    if not plan.differences:
        return "Everything is as it should be."
    parts = []
    if plan.steps:
        parts.append(f"{len(plan.steps)} for apply")
    if plan.by_hand:
        parts.append(f"{len(plan.by_hand)} by hand")
    return f"Differences: {', '.join(parts)}."


def unreported(plan: Plan) -> str:
    """The quotas of which AWS says nothing."""
    return f"AWS does not tell these quotas: {', '.join(plan.unreported)}."


def as_json(desired: Desired, who: str, plan: Plan, done: list[Difference]) -> str:
    """One object for programs."""
    return json.dumps(
        {
            "version": VERSION,
            "account": desired.account,
            "region": desired.region,
            "deployment": desired.deployment,
            "caller": who,
            "done": [_object(d) for d in done],
            "differences": [_object(d) for d in plan.differences],
            "untold_quotas": list(plan.unreported),
        },
        indent=1,
    )


def _object(difference: Difference) -> dict[str, Any]:
    return {
        **asdict(difference),
        "more": list(difference.more),
        "by": "apply" if difference.step else "hand",
    }
