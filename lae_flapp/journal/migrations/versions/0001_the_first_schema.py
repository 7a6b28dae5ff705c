"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = (
    (
        "CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events "
        "BEGIN SELECT RAISE(ABORT, 'events are append only'); END"
    ),
    (
        "CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events "
        "BEGIN SELECT RAISE(ABORT, 'events are append only'); END"
    ),
)


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
        sa.Column("message_id", sa.String(length=40), nullable=False),
        sa.Column("over_message_id", sa.String(length=40), nullable=False),
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
            postgresql_where=sa.text("over_told_at IS NULL"),
        )

    op.create_table(
        "cells",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("deployment", sa.String(length=40), nullable=False),
        sa.Column("account", sa.String(length=40), nullable=False),
        sa.Column("region", sa.String(length=40), nullable=False),
        sa.Column("zone", sa.String(length=40), nullable=False),
        sa.Column("dns_zone", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cells")),
    )
    op.create_table(
        "epoch",
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("taken_at", sa.String(length=32), nullable=False),
        sa.Column("beat_at", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("row", name=op.f("pk_epoch")),
    )
    op.create_table(
        "events",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("signup_id", sa.String(length=22), nullable=True),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("who", sa.String(length=80), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index(
            "ix_events_signup_id_number", ["signup_id", "number"], unique=False
        )

    op.create_table(
        "inbox",
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("object_id", sa.String(length=255), nullable=True),
        sa.Column("request_id", sa.String(length=40), nullable=False),
        sa.Column("received_at", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.String(length=32), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("settled_at", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_inbox")),
    )
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.create_index(
            "ix_inbox_state_next_try_at", ["state", "next_try_at"], unique=False
        )

    op.create_table(
        "meta",
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("environment", sa.String(length=40), nullable=False),
        sa.Column("deployment", sa.String(length=40), nullable=False),
        sa.Column("aws_account", sa.String(length=40), nullable=False),
        sa.Column("stripe_mode", sa.String(length=10), nullable=False),
        sa.Column("made_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("row", name=op.f("pk_meta")),
    )
    op.create_table(
        "operators",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("swissnum_hash", sa.String(length=64), nullable=False),
        sa.Column("added_at", sa.String(length=32), nullable=False),
        sa.Column("revoked_at", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_operators")),
        sa.UniqueConstraint("swissnum_hash", name=op.f("uq_operators_swissnum_hash")),
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
    op.create_table(
        "switches",
        sa.Column("name", sa.String(length=24), nullable=False),
        sa.Column("paused_at", sa.String(length=32), nullable=False),
        sa.Column("who", sa.String(length=80), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_switches")),
    )
    op.create_table(
        "signups",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("changed_at", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("owner_hash", sa.String(length=64), nullable=False),
        sa.Column("grid_label", sa.String(length=16), nullable=False),
        sa.Column("cell", sa.String(length=40), nullable=False),
        sa.Column("plan_id", sa.String(length=40), nullable=False),
        sa.Column("plan_name", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("interval", sa.String(length=8), nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=False),
        sa.Column("traffic", sa.BigInteger(), nullable=False),
        sa.Column("terms_version", sa.String(length=40), nullable=False),
        sa.Column("agreed_at", sa.String(length=32), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("held_until", sa.String(length=32), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("problem_at", sa.String(length=32), nullable=True),
        sa.Column("grace", sa.Integer(), nullable=False),
        sa.Column("read_only", sa.Integer(), nullable=False),
        sa.Column("stopped", sa.Integer(), nullable=False),
        sa.Column("data_kept", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["cell"], ["cells.name"], name=op.f("fk_signups_cell")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_signups")),
        sa.UniqueConstraint("grid_label", name=op.f("uq_signups_grid_label")),
        sa.UniqueConstraint("signup_id", name=op.f("uq_signups_signup_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("signups", schema=None) as batch_op:
        batch_op.create_index(
            "ix_signups_cell_state_held_until",
            ["cell", "state", "held_until"],
            unique=False,
        )
        batch_op.create_index(
            "ix_signups_state_number", ["state", "number"], unique=False
        )

    op.create_table(
        "contacts",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("typed", sa.String(length=320), nullable=False),
        sa.Column("smtp", sa.String(length=320), nullable=False),
        sa.Column("folded", sa.String(length=320), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("since", sa.String(length=32), nullable=False),
        sa.Column("changed_at", sa.String(length=32), nullable=False),
        sa.Column("until", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["signup_id"],
            ["signups.signup_id"],
            name=op.f("fk_contacts_signup_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_contacts")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("contacts", schema=None) as batch_op:
        batch_op.create_index("ix_contacts_signup_id", ["signup_id"], unique=False)
        batch_op.create_index(
            "uq_contacts_current",
            ["signup_id"],
            unique=True,
            sqlite_where=sa.text("until IS NULL"),
            postgresql_where=sa.text("until IS NULL"),
        )

    op.create_table(
        "effects",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=26), nullable=False),
        sa.Column("purpose", sa.String(length=26), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=True),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("begun_at", sa.String(length=32), nullable=False),
        sa.Column("changed_at", sa.String(length=32), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state != 'begun' OR request IS NOT NULL",
            name=op.f("ck_effects_begun_has_request"),
        ),
        sa.ForeignKeyConstraint(
            ["signup_id"],
            ["signups.signup_id"],
            name=op.f("fk_effects_signup_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_effects")),
        sa.UniqueConstraint(
            "signup_id",
            "purpose",
            "generation",
            "attempt",
            name=op.f("uq_effects_signup_id_purpose_generation_attempt"),
        ),
        sa.UniqueConstraint("token", name=op.f("uq_effects_token")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("effects", schema=None) as batch_op:
        batch_op.create_index(
            "ix_effects_state_number", ["state", "number"], unique=False
        )

    op.create_table(
        "gifts",
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("who", sa.String(length=80), nullable=False),
        sa.Column("given_at", sa.String(length=32), nullable=False),
        sa.Column("ends_at", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["signup_id"],
            ["signups.signup_id"],
            name=op.f("fk_gifts_signup_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("signup_id", name=op.f("pk_gifts")),
    )
    op.create_table(
        "hosts",
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("wanted_at", sa.String(length=32), nullable=False),
        sa.Column("changed_at", sa.String(length=32), nullable=False),
        sa.Column("instance_id", sa.String(length=64), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("launch_time", sa.String(length=32), nullable=True),
        sa.Column("image", sa.Text(), nullable=True),
        sa.Column("reported_at", sa.String(length=32), nullable=True),
        sa.Column("report", sa.Text(), nullable=True),
        sa.Column("bootstrap_hash", sa.String(length=64), nullable=True),
        sa.Column("bootstrap_until", sa.String(length=32), nullable=True),
        sa.Column("public_key", sa.LargeBinary(), nullable=True),
        sa.Column("furl_hash", sa.String(length=64), nullable=True),
        sa.Column("furl_sealed", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "(bootstrap_hash IS NULL) = (bootstrap_until IS NULL)",
            name=op.f("ck_hosts_bootstrap_has_an_end"),
        ),
        sa.CheckConstraint(
            "(furl_hash IS NULL) = (furl_sealed IS NULL)",
            name=op.f("ck_hosts_furl_is_sealed"),
        ),
        sa.ForeignKeyConstraint(
            ["signup_id"],
            ["signups.signup_id"],
            name=op.f("fk_hosts_signup_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("signup_id", "generation", name=op.f("pk_hosts")),
        sa.UniqueConstraint("bootstrap_hash", name=op.f("uq_hosts_bootstrap_hash")),
        sa.UniqueConstraint("furl_hash", name=op.f("uq_hosts_furl_hash")),
    )
    with op.batch_alter_table("hosts", schema=None) as batch_op:
        batch_op.create_index("ix_hosts_instance_id", ["instance_id"], unique=False)
        batch_op.create_index(
            "uq_hosts_live",
            ["signup_id"],
            unique=True,
            sqlite_where=sa.text("state != 'gone'"),
            postgresql_where=sa.text("state != 'gone'"),
        )

    op.create_table(
        "identities",
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.String(length=255), nullable=False),
        sa.Column("vault_key", sa.String(length=255), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.String(length=32), nullable=False),
        sa.Column("vaulted_at", sa.String(length=32), nullable=True),
        sa.Column("recovered", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["signup_id"],
            ["signups.signup_id"],
            name=op.f("fk_identities_signup_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("signup_id", "generation", name=op.f("pk_identities")),
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
            ["signup_id"],
            ["signups.signup_id"],
            name=op.f("fk_lifecycles_signup_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("signup_id", name=op.f("pk_lifecycles")),
    )
    with op.batch_alter_table("lifecycles", schema=None) as batch_op:
        batch_op.create_index(
            "ix_lifecycles_subscription", ["subscription"], unique=False
        )

    op.create_table(
        "ports",
        sa.Column("cell", sa.String(length=40), nullable=False),
        sa.Column("port", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("purpose", sa.String(length=24), nullable=False),
        sa.ForeignKeyConstraint(["cell"], ["cells.name"], name=op.f("fk_ports_cell")),
        sa.ForeignKeyConstraint(
            ["signup_id"],
            ["signups.signup_id"],
            name=op.f("fk_ports_signup_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("cell", "port", name=op.f("pk_ports")),
        sa.UniqueConstraint(
            "signup_id", "purpose", name=op.f("uq_ports_signup_id_purpose")
        ),
    )
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.String(length=255), nullable=False),
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.String(length=32), nullable=False),
        sa.Column("expires_at", sa.String(length=32), nullable=False),
        sa.Column("closed_at", sa.String(length=32), nullable=True),
        sa.Column("kept", sa.Boolean(), nullable=False),
        sa.Column("customer", sa.String(length=255), nullable=True),
        sa.Column("subscription", sa.String(length=255), nullable=True),
        sa.Column("invoice", sa.String(length=255), nullable=True),
        sa.Column("payment_intent", sa.String(length=255), nullable=True),
        sa.CheckConstraint(
            "NOT kept OR state IN ('paid', 'refunded')",
            name=op.f("ck_sessions_kept_is_paid"),
        ),
        sa.ForeignKeyConstraint(
            ["signup_id"],
            ["signups.signup_id"],
            name=op.f("fk_sessions_signup_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_sessions")),
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index("ix_sessions_customer", ["customer"], unique=False)
        batch_op.create_index("ix_sessions_signup_id", ["signup_id"], unique=False)
        batch_op.create_index("ix_sessions_state", ["state"], unique=False)
        batch_op.create_index(
            "ix_sessions_subscription", ["subscription"], unique=False
        )
        batch_op.create_index(
            "uq_sessions_kept",
            ["signup_id"],
            unique=True,
            sqlite_where=sa.text("kept"),
            postgresql_where=sa.text("kept"),
        )

    op.create_table(
        "host_troubles",
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("since", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["signup_id"],
            ["signups.signup_id"],
            name=op.f("fk_host_troubles_signup_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("signup_id", "kind", name=op.f("pk_host_troubles")),
    )
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
            ["signup_id"],
            ["signups.signup_id"],
            name=op.f("fk_usage_signup_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("signup_id", "day", name=op.f("pk_usage")),
    )
    op.create_table(
        "outbox",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("occasion", sa.String(length=40), nullable=False),
        sa.Column("message_id", sa.String(length=40), nullable=False),
        sa.Column("queued_at", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.String(length=32), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("contact", sa.Integer(), nullable=True),
        sa.Column("settled_at", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact"], ["contacts.number"], name=op.f("fk_outbox_contact")
        ),
        sa.ForeignKeyConstraint(
            ["signup_id"],
            ["signups.signup_id"],
            name=op.f("fk_outbox_signup_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_outbox")),
        sa.UniqueConstraint("message_id", name=op.f("uq_outbox_message_id")),
        sa.UniqueConstraint(
            "signup_id",
            "kind",
            "occasion",
            name=op.f("uq_outbox_signup_id_kind_occasion"),
        ),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_contact", ["contact"], unique=False)
        batch_op.create_index(
            "ix_outbox_state_next_try_at", ["state", "next_try_at"], unique=False
        )
    op.create_table(
        "rollouts",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("cell", sa.String(length=40), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("release", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("canaries", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("pause", sa.Integer(), nullable=False),
        sa.Column("who", sa.String(length=80), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.String(length=32), nullable=False),
        sa.Column("changed_at", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["cell"], ["cells.name"], name=op.f("fk_rollouts_cell")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_rollouts")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("rollouts", schema=None) as batch_op:
        batch_op.create_index(
            "uq_rollouts_open",
            ["cell"],
            unique=True,
            sqlite_where=sa.text("state NOT IN ('finished', 'gone-back')"),
            postgresql_where=sa.text("state NOT IN ('finished', 'gone-back')"),
        )

    op.create_table(
        "rollout_hosts",
        sa.Column("rollout", sa.Integer(), nullable=False),
        sa.Column("signup_id", sa.String(length=22), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=24), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("since", sa.String(length=32), nullable=False),
        sa.Column("heard_at", sa.String(length=32), nullable=True),
        sa.Column("came_at", sa.String(length=32), nullable=True),
        sa.Column("what", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["rollout"], ["rollouts.number"], name=op.f("fk_rollout_hosts_rollout")
        ),
        sa.ForeignKeyConstraint(
            ["signup_id"],
            ["signups.signup_id"],
            name=op.f("fk_rollout_hosts_signup_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "rollout", "signup_id", "generation", name=op.f("pk_rollout_hosts")
        ),
    )
    with op.batch_alter_table("rollout_hosts", schema=None) as batch_op:
        batch_op.create_index("ix_rollout_hosts_signup_id", ["signup_id"], unique=False)
    for trigger in APPEND_ONLY:
        op.execute(trigger)
