"""What whoever deploys a template must say that they know.  Pure."""

from __future__ import annotations

from collections.abc import Collection

from lae_localcloud.cloudformation.kinds.table import KINDS
from lae_localcloud.cloudformation.template import Template


def missing_capabilities(template: Template, said: Collection[str]) -> list[str]:
    """The capabilities that are needed and not said."""
    of_iam = [r for r in template.resources.values() if KINDS[r.kind].of_iam]
    if any(KINDS[r.kind].names in r.properties for r in of_iam):
        return [] if "CAPABILITY_NAMED_IAM" in said else ["CAPABILITY_NAMED_IAM"]
    if of_iam and not {"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"} & set(said):
        return ["CAPABILITY_IAM"]
    return []
