"""What ``lae account`` prints."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any

from attrs import asdict

from lae_provision.account.applying import Applied
from lae_provision.account.change_set import Change, Judged, tell
from lae_provision.account.checking import AccountDifferences
from lae_provision.account.desired import Desired
from lae_provision.account.difference import Difference

#: Grows when a key goes or changes its meaning.
VERSION = 2
_WIDTH = 78


def head(desired: Desired, who: str) -> str:
    """Which account, and as whom."""
    return (
        f"{desired.deployment} in AWS account {desired.account}, {desired.region}\n"
        f"as {who}"
    )


def changes(judged: Judged) -> str:
    """What would become of which thing, a line each."""
    lines = [tell(change) for change in judged.changes]
    return "\n".join(["", *lines, ""])


def step_line(difference: Difference) -> str:
    """What ``apply`` changes, in one line."""
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


def summary(checked: AccountDifferences) -> str:
    """How many of each."""
    if not checked.differences:
        return "Everything is as it should be."
    parts = []
    if checked.steps:
        parts.append(f"{len(checked.steps)} for apply")
    if checked.by_hand:
        parts.append(f"{len(checked.by_hand)} by hand")
    return f"Differences: {', '.join(parts)}."


def done(applied: Applied) -> str:
    """How it ended, and who must be told of the zone."""
    many = len(applied.changes)
    said = f"Done: {many} changed." if many else "Nothing had to be changed."
    servers = applied.stack.outputs.get("NameServers")
    if servers:
        said += (
            f"\nThe zone's name servers, for whom the domain was bought from: {servers}"
        )
    return said


def unreported(checked: AccountDifferences) -> str:
    """The quotas of which AWS says nothing."""
    return f"AWS does not tell these quotas: {', '.join(checked.unreported)}."


def as_json(
    desired: Desired,
    who: str,
    checked: AccountDifferences,
    changed: tuple[Change, ...] = (),
    outputs: Mapping[str, str] | None = None,
) -> str:
    """One object for programs."""
    return json.dumps(
        {
            "version": VERSION,
            "account": desired.account,
            "region": desired.region,
            "deployment": desired.deployment,
            "caller": who,
            "changes": [_change(change) for change in changed],
            "differences": [_object(d) for d in checked.differences],
            "untold_quotas": list(checked.unreported),
            "outputs": dict(outputs or {}),
        },
        indent=1,
    )


def _change(change: Change) -> dict[str, Any]:
    row = change.row
    return {"thing": row.thing, "type": row.type, "becomes": change.fate.value}


def _object(difference: Difference) -> dict[str, Any]:
    return {
        **asdict(difference),
        "more": list(difference.more),
        "by": "apply" if difference.step else "hand",
    }
