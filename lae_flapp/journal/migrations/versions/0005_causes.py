"""Causes of trouble; and when the daemon last lived."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "causes",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.String(length=32), nullable=False),
        sa.Column("told_at", sa.String(length=32), nullable=True),
        sa.Column("over_at", sa.String(length=32), nullable=True),
        sa.Column("over_told_at", sa.String(length=32), nullable=True),
        sa.Column("message_id", sa.String(length=255), nullable=False),
        sa.Column("over_message_id", sa.String(length=255), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_causes")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("causes", schema=None) as batch_op:
        batch_op.create_index(
            "uq_causes_lasting",
            ["kind", "subject"],
            unique=True,
            sqlite_where=sa.text("over_told_at IS NULL"),
        )

    with op.batch_alter_table("epoch", schema=None) as batch_op:
        batch_op.add_column(sa.Column("beat_at", sa.String(length=32), nullable=True))
