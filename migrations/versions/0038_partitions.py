"""incidents in partitions by region; filled tables are copied by `app.core.db.partitions` afterwards

Revision ID: 0038
Revises: 0037
"""

from alembic import op
from sqlalchemy import text

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

N_PARTITIONS = 16
COLUMNS = (
    'id, region_key, occurred_at, longitude, latitude, x_m, y_m, "window", category_key, external_id,'
    " source, dedup_key, occurrence, upload_id, inserted_at, reference, feed_key, revised_at, occurred_to"
)
# Names of keys and indexes are the schema's, not a table's: the copy has its own until it takes the place.
TABLE = """
    CREATE TABLE incidents{suffix} (
        id bigint NOT NULL{default},
        region_key integer NOT NULL,
        occurred_at timestamptz NOT NULL,
        longitude double precision NOT NULL,
        latitude double precision NOT NULL,
        x_m real NOT NULL,
        y_m real NOT NULL,
        "window" smallint NOT NULL,
        category_key integer NOT NULL,
        external_id text,
        source text NOT NULL DEFAULT 'reported',
        dedup_key uuid NOT NULL,
        occurrence smallint NOT NULL,
        upload_id bigint NOT NULL,
        inserted_at timestamptz NOT NULL DEFAULT now(),
        reference text,
        feed_key integer,
        revised_at timestamptz,
        occurred_to timestamptz,
        CONSTRAINT pk_incidents{suffix} PRIMARY KEY ({key}),
        CONSTRAINT uq_incidents_region_key_dedup_key_occurrence{suffix}
            UNIQUE (region_key, dedup_key, occurrence),
        CONSTRAINT ck_incidents_window CHECK ("window" >= 0 AND "window" < 168),
        CONSTRAINT ck_incidents_source CHECK (source IN ('reported', 'discovered')),
        CONSTRAINT ck_incidents_interval CHECK (occurred_to > occurred_at),
        CONSTRAINT ck_incidents_external_id_bound CHECK (char_length(external_id) <= 200),
        CONSTRAINT ck_incidents_source_bound CHECK (char_length(source) <= 20),
        CONSTRAINT ck_incidents_reference_bound CHECK (char_length(reference) <= 200),
        CONSTRAINT fk_incidents_region_key_regions
            FOREIGN KEY (region_key) REFERENCES regions (key) ON DELETE CASCADE,
        CONSTRAINT fk_incidents_region_key_categories
            FOREIGN KEY (region_key, category_key) REFERENCES categories (region_key, key),
        {of_upload}
    ){partition_by}
"""
OF_UPLOAD = """CONSTRAINT fk_incidents_region_key_uploads
            FOREIGN KEY (region_key, upload_id) REFERENCES uploads (region_key, id) ON DELETE CASCADE"""
OF_UPLOAD_BEFORE = """CONSTRAINT fk_incidents_upload_id_uploads
            FOREIGN KEY (upload_id) REFERENCES uploads (id) ON DELETE CASCADE"""
INDEXES = {
    "ix_incidents_region_window_time": 'btree (region_key, "window", occurred_at)',
    "ix_incidents_region_time": "btree (region_key, occurred_at, id)",
    "ix_incidents_region_category_time": "btree (region_key, category_key, occurred_at, id)",
    "ix_incidents_upload": "brin (upload_id) WITH (autosummarize = on)",
}
# Rows are found by their key one by one: a plan made for few rows serves many, and the other way round.
MIRROR = f"""
    CREATE FUNCTION mirror_incidents() RETURNS trigger LANGUAGE plpgsql
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
    AS $$
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            TRUNCATE incidents_next;
            RETURN NULL;
        END IF;
        IF TG_OP <> 'INSERT' THEN
            DELETE FROM incidents_next AS n USING before_rows AS b
            WHERE n.region_key = b.region_key AND n.id = b.id;
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO incidents_next ({COLUMNS}) SELECT {COLUMNS} FROM after_rows;
        END IF;
        RETURN NULL;
    END $$
"""  # noqa: S608 - constants
TRIGGERS = {
    "INSERT": "REFERENCING NEW TABLE AS after_rows",
    "UPDATE": "REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows",
    "DELETE": "REFERENCING OLD TABLE AS before_rows",
    "TRUNCATE": "",
}
PROGRESS = """
    CREATE TABLE incident_copy (
        stage text NOT NULL DEFAULT 'copying',
        region integer NOT NULL DEFAULT 0,
        after_at timestamptz NOT NULL DEFAULT '0001-01-01 00:00:00+00',
        after_id bigint NOT NULL DEFAULT 0,
        copied bigint NOT NULL DEFAULT 0,
        total bigint NOT NULL,
        CONSTRAINT ck_incident_copy_stage
            CHECK (stage IN ('copying', 'comparing', 'swapping', 'dropping', 'differs')),
        CONSTRAINT ck_incident_copy_stage_bound CHECK (char_length(stage) <= 20)
    )
"""
INGEST_LOCK = 0x686F7469


def upgrade() -> None:
    # Uploads and erasures lock tables in different orders: none of them may be half done. Readers go on.
    lock = text("SELECT pg_advisory_xact_lock(:lock, key) FROM regions ORDER BY key")
    op.get_bind().execute(lock, {"lock": INGEST_LOCK})
    op.create_unique_constraint("uq_uploads_region_key_id", "uploads", ["region_key", "id"])
    op.drop_index("ix_uploads_region", "uploads")
    op.execute("CREATE SEQUENCE incident_ids")
    op.execute(PROGRESS)
    # Writers wait from here to the end of the transaction, so that the triggers miss none.
    op.execute("LOCK TABLE incidents IN SHARE ROW EXCLUSIVE MODE")
    if op.get_bind().scalar(text("SELECT EXISTS (SELECT FROM incidents)")):
        create_partitioned("_next")
        follow()
    else:
        op.execute("DROP TABLE incidents")
        create_partitioned("")


def create_partitioned(suffix: str) -> None:
    """Create the partitioned table, its partitions and indexes."""
    create(
        suffix,
        key="region_key, id",
        default=" DEFAULT nextval('incident_ids')",
        of_upload=OF_UPLOAD,
        partition_by=" PARTITION BY HASH (region_key)",
    )
    for number in range(N_PARTITIONS):
        op.execute(
            f"CREATE TABLE incidents_p{number:02d} PARTITION OF incidents{suffix}"
            f" FOR VALUES WITH (MODULUS {N_PARTITIONS}, REMAINDER {number})"
        )
    op.execute(f"ALTER SEQUENCE incident_ids OWNED BY incidents{suffix}.id")


def create(suffix: str, **parts: str) -> None:
    """Create a table of incidents with its indexes."""
    op.execute(TABLE.format(suffix=suffix, **parts))
    for name, columns in INDEXES.items():
        op.execute(f"CREATE INDEX {name}{suffix} ON incidents{suffix} USING {columns}")


def follow() -> None:
    """Let the copy follow every change of the incidents from now on, whichever process makes it."""
    op.execute(MIRROR)
    for event, tables in TRIGGERS.items():
        op.execute(
            f"CREATE TRIGGER mirror_{event.lower()} AFTER {event} ON incidents {tables}"
            " FOR EACH STATEMENT EXECUTE FUNCTION mirror_incidents()"
        )
    op.execute(
        "INSERT INTO incident_copy (total)"
        " SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = 'incidents'::regclass"
    )


def downgrade() -> None:
    stage = op.get_bind().scalar(text("SELECT stage FROM incident_copy"))
    op.create_index("ix_uploads_region", "uploads", ["region_key", "id"])
    if stage in (None, "dropping"):
        create_plain()
    else:
        for event in TRIGGERS:
            op.execute(f"DROP TRIGGER mirror_{event.lower()} ON incidents")
        op.execute("DROP FUNCTION mirror_incidents()")
        op.execute("DROP TABLE incidents_next")
    op.execute("DROP TABLE incident_copy")
    op.drop_constraint(op.f("uq_uploads_region_key_id"), "uploads", type_="unique")


def create_plain() -> None:
    """Copy everything back into one table; it is closed meanwhile."""
    op.execute("DROP TABLE IF EXISTS incidents_before")
    op.execute("LOCK TABLE incidents IN ACCESS EXCLUSIVE MODE")
    next_id = op.get_bind().scalar(text("SELECT nextval('incident_ids')"))
    create(
        "_next",
        key="id",
        default=f" GENERATED BY DEFAULT AS IDENTITY (START WITH {next_id})",
        of_upload=OF_UPLOAD_BEFORE,
        partition_by="",
    )
    op.execute(f"INSERT INTO incidents_next ({COLUMNS}) SELECT {COLUMNS} FROM incidents")  # noqa: S608
    op.execute("DROP TABLE incidents")
    op.execute("ALTER TABLE incidents_next RENAME TO incidents")
    op.execute("ALTER SEQUENCE incidents_next_id_seq RENAME TO incidents_id_seq")
    for name in ("pk_incidents", "uq_incidents_region_key_dedup_key_occurrence", *INDEXES):
        op.execute(f"ALTER INDEX {name}_next RENAME TO {name}")
