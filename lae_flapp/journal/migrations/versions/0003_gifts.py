"""Subscriptions free of charge."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gifts",
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("who", sa.String(length=80), nullable=False),
        sa.Column("given_at", sa.String(length=32), nullable=False),
        sa.Column("ends_at", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["signup_id"], ["signups.signup_id"], name=op.f("fk_gifts_signup_id")
        ),
        sa.PrimaryKeyConstraint("signup_id", name=op.f("pk_gifts")),
    )
