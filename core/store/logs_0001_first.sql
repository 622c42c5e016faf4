-- What agents said, parsed: a file of its own (logs.db), since the session's output file is
-- the truth and this can be rebuilt from it.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE lines (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  session_id TEXT NOT NULL,
  attempt    INTEGER NOT NULL,
  iteration  INTEGER NOT NULL,
  position   INTEGER NOT NULL,              -- the output's byte position just after it
  part       INTEGER NOT NULL,              -- which event of that line
  stream     TEXT NOT NULL CHECK (stream IN ('out', 'err', 'mark')),
  kind       TEXT NOT NULL,
  text       TEXT NOT NULL,
  data       TEXT NOT NULL DEFAULT '{}',
  at         INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX lines_once ON lines (session_id, attempt, position, part);
CREATE INDEX lines_of_session ON lines (session_id, seq);

CREATE TABLE positions (
  session_id TEXT NOT NULL,
  attempt    INTEGER NOT NULL,
  position   INTEGER NOT NULL,
  PRIMARY KEY (session_id, attempt)
) STRICT, WITHOUT ROWID;
