"""SSH keys a wallet signed for; how long its desktops may be idle; windows that are not billed."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE wallet ADD COLUMN idle_minutes INTEGER DEFAULT 0 NOT NULL")
    op.execute(
        """
        CREATE TABLE signed_key (
            wallet VARCHAR(42) NOT NULL,
            public_key VARCHAR NOT NULL,
            expires_at_ms BIGINT NOT NULL,
            CONSTRAINT pk_signed_key PRIMARY KEY (wallet, public_key)
        );
        CREATE INDEX ix_signed_key_expires_at_ms ON signed_key (expires_at_ms);
        CREATE INDEX ix_usage_window_unbilled ON usage_window (session_id) WHERE kind <> 'used'
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP INDEX ix_usage_window_unbilled;
        DROP TABLE signed_key;
        ALTER TABLE wallet DROP COLUMN idle_minutes
        """
    )
