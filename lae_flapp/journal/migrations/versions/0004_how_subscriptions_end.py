"""How subscriptions go on and end, and the receipts of deleted data."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: The periods of customers who agreed before there were any, in seconds.  The release
#: before this one writes rows without them.
_DAY = 86_400
_PERIODS = {
    "grace": 14 * _DAY,
    "read_only": 7 * _DAY,
    "stopped": 14 * _DAY,
    "data_kept": 30 * _DAY,
}


def upgrade() -> None:
    for name, seconds in _PERIODS.items():
        op.add_column(
            "signups",
            sa.Column(name, sa.Integer(), nullable=False, server_default=str(seconds)),
        )
    op.create_table(
        "lifecycles",
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("subscription", sa.String(length=255), nullable=True),
        sa.Column("wish", sa.String(length=24), nullable=False),
        sa.Column("told", sa.String(length=24), nullable=False),
        sa.Column("paid_until", sa.String(length=32), nullable=True),
        sa.Column("ends_at", sa.String(length=32), nullable=True),
        sa.Column("ended_at", sa.String(length=32), nullable=True),
        sa.Column("kept_until", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["signup_id"], ["signups.signup_id"], name=op.f("fk_lifecycles_signup_id")
        ),
        sa.PrimaryKeyConstraint("signup_id", name=op.f("pk_lifecycles")),
    )
    with op.batch_alter_table("lifecycles", schema=None) as batch_op:
        batch_op.create_index(
            "ix_lifecycles_subscription", ["subscription"], unique=False
        )
    op.create_table(
        "receipts",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("bucket", sa.String(length=63), nullable=False),
        sa.Column("ended_at", sa.String(length=32), nullable=False),
        sa.Column("kept_until", sa.String(length=32), nullable=False),
        sa.Column("deleted_at", sa.String(length=32), nullable=False),
        sa.Column("used_bytes", sa.BigInteger(), nullable=True),
        sa.Column("share_count", sa.Integer(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_receipts")),
        sqlite_autoincrement=True,
    )
    # Who pays already is on their way through the same life.
    op.execute(
        "INSERT INTO lifecycles (signup_id, subscription, wish, told)"
        " SELECT signup_id, stripe_subscription, 'stay', 'stay' FROM signups"
        " WHERE stripe_subscription IS NOT NULL AND state IN ('paid', 'active')"
    )
