"""What customers' grids hold and did, day by day."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("noncurrent", sa.BigInteger(), nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["signup_id"], ["signups.signup_id"], name=op.f("fk_usage_signup_id")
        ),
        sa.PrimaryKeyConstraint("signup_id", "day", name=op.f("pk_usage")),
    )
