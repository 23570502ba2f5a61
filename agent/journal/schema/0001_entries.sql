-- Version 1. An applied file is never edited: a change is a new file, and it only adds, so that an
-- older agent can go on with a newer journal after a roll-back.

CREATE TABLE boots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    boot_id TEXT NOT NULL UNIQUE
);

-- One row per entry, in the order of storing (id). A gap is a row of type 'gap' without a body:
-- entries seq..gap_last (inclusive) never reached the disk.
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    boot INTEGER NOT NULL REFERENCES boots (id),
    seq INTEGER NOT NULL,
    gap_last INTEGER,
    at_ns INTEGER NOT NULL, -- UTC, as the clock said it: it may jump, so it never decides an order
    type TEXT NOT NULL,     -- the event's tag without its version
    endpoint TEXT,
    body BLOB               -- the whole event as a CBOR map, tag included
);

-- Identity: storing an entry a second time, after a commit whose answer was lost, changes nothing.
CREATE UNIQUE INDEX entries_identity ON entries (seq, boot);
CREATE INDEX entries_type ON entries (type);
CREATE INDEX entries_endpoint ON entries (endpoint) WHERE endpoint IS NOT NULL;
CREATE INDEX entries_at ON entries (at_ns);
CREATE INDEX entries_gap ON entries (gap_last) WHERE gap_last IS NOT NULL;
