"""Alembic runs this for each command; the connection is the caller's."""

from typing import Any, Literal

from alembic import context
from sqlalchemy.types import TypeDecorator

from lae_flapp.journal import schema


def render_item(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Write types of ours as what they are in the file, so that a migration never
    depends on code that changes later.
    """
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.METADATA,
    render_item=render_item,
    render_as_batch=True,
    # The caller's transaction holds the whole upgrade: all of it, or nothing.
    transactional_ddl=True,
)
context.run_migrations()
