"""Files that belong to S4 and are no Python: templates and example configurations."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def _folder(package: str, checkout: str) -> Path:
    spec = find_spec(package)
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    # An editable installation maps no package names to folders of other names.
    return Path(__file__).resolve().parents[2] / checkout


def template_folder() -> Path:
    """``templates/`` of the checkout, ``lae_templates`` of an installed wheel."""
    return _folder("lae_templates", "templates")


def config_folder() -> Path:
    """``config/`` of the checkout, ``lae_config`` of an installed wheel."""
    return _folder("lae_config", "config")
