"""Pages are Jinja2 templates; one that lacks a value raises an error."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import define
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lae_protocol import joining
from lae_protocol.plan_words import (
    moment_in_words,
    price_in_words,
    size_in_words,
    span_in_words,
    used_in_words,
)
from lae_protocol.process.resources import template_folder
from lae_site.settings import SiteSettings

STATIC_FOLDER = Path(__file__).parent / "static"
MEDIA_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}


@define(frozen=True)
class StaticFile:
    """A static file: its bytes, its type, and a digest that names its version."""

    data: bytes
    media_type: bytes
    version: str


def static_files(folder: Path = STATIC_FOLDER) -> dict[str, StaticFile]:
    """Read every file that browsers may ask for, by name; once, at start."""
    files = {}
    for path in folder.iterdir():
        if path.suffix in MEDIA_TYPES:
            data = path.read_bytes()
            version = hashlib.sha256(data).hexdigest()[:12]
            files[path.name] = StaticFile(data, MEDIA_TYPES[path.suffix], version)
    return files


def _clock_time(moment: datetime) -> str:
    """``28 Dec, 14:05:07 UTC``: with its day, since a step may be of an earlier one."""
    return f"{moment.day} {moment:%b, %H:%M:%S} UTC"


@define(frozen=True)
class Pages:
    """Renders the templates of ``templates/pages/``."""

    environment: Environment

    def render(self, name: str, **values: Any) -> bytes:
        """Render a page; raises jinja2's UndefinedError for a missing value."""
        return self.environment.get_template(name).render(**values).encode()

    def render_text(self, name: str, **values: Any) -> str:
        """Render a part of a page, which the page's script puts in place."""
        return self.environment.get_template(name).render(**values).strip()


def make_pages(settings: SiteSettings, files: dict[str, StaticFile]) -> Pages:
    """Load the templates, with the values and filters that all of them have."""
    environment = Environment(
        loader=FileSystemLoader(template_folder() / "pages"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "environment": settings.environment,
        "operator_name": settings.operator_name,
        "operator_address": settings.operator_address,
        "support_email": settings.support_email,
        "gridsync_steps": joining.gridsync_steps,
        "second_gridsync": joining.SECOND_GRIDSYNC,
        "lost_gridsync": joining.LOST_GRIDSYNC,
        "tahoe_steps": joining.tahoe_steps,
        "needed": joining.NEEDED,
        "tahoe": joining.TAHOE,
        "node": joining.NODE,
        "static": lambda name: f"/static/{name}?v={files[name].version}",
    }
    environment.filters |= {
        "price": price_in_words,
        "size": size_in_words,
        "used": used_in_words,
        "span": span_in_words,
        "moment": moment_in_words,
        "clock": _clock_time,
    }
    return Pages(environment)
