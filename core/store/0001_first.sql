-- The first schema. Times are ms since the epoch (UTC). Every table is STRICT, and the
-- CHECKs refuse nonsense, so that a bug is an error and not a corrupt row.
--
-- JSON columns check their first character only: with trusted_schema off, SQLite 3.40 lets
-- no CHECK call json_valid().
--
-- task:      inbox → ready|blocked → planning|in_flight|review → done|failed|cancelled
-- session:   starting → running ⇄ suspended → terminating → terminated (with an outcome)
-- attempt:   starting → running → ended
-- iteration: running ⇄ waiting → completed|failed|killed
-- gate:      open → approved|rejected|answered|expired|cancelled
-- intake:    stored → executed|refused          delivery: owed → sent|dropped

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  title           TEXT NOT NULL CHECK (length(title) BETWEEN 1 AND 300),
  description     TEXT NOT NULL DEFAULT '',
  slug            TEXT NOT NULL CHECK (length(slug) <= 60),
  state           TEXT NOT NULL CHECK (state IN ('inbox','planning','ready','in_flight','review',
                                                 'done','blocked','failed','cancelled')),
  blocked_from    TEXT CHECK (blocked_from IN ('planning','in_flight','review')),
  priority        INTEGER NOT NULL DEFAULT 1 CHECK (priority BETWEEN 0 AND 3),
  complexity      TEXT CHECK (complexity IN ('xs','s','m','l','xl')),
  category        TEXT,
  lane            TEXT,
  repo            TEXT,
  workflow        TEXT NOT NULL,
  step            TEXT NOT NULL,
  run_command     TEXT,
  assignee        TEXT,
  assigned_step   TEXT,
  position        INTEGER,
  not_before      INTEGER,
  attempts        INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  unmet           INTEGER NOT NULL DEFAULT 0 CHECK (unmet >= 0),
  begun           INTEGER NOT NULL DEFAULT 0 CHECK (begun IN (0, 1)),
  budget_tokens   INTEGER CHECK (budget_tokens > 0),
  budget_usd      REAL CHECK (budget_usd > 0),
  plan            TEXT,
  hint            TEXT,                        -- for the next try
  verification    TEXT,
  ephemeral       INTEGER NOT NULL DEFAULT 0 CHECK (ephemeral IN (0, 1)),
  failure         TEXT,
  hold            TEXT,                        -- why an approved merge waits
  change          TEXT,                        -- JSON: base, head, patch_id, files of its branch
  branch          TEXT,
  base_commit     TEXT,
  head_commit     TEXT,
  merge_commit    TEXT,
  created_by      TEXT NOT NULL DEFAULT 'system',
  created_at      INTEGER NOT NULL,
  updated_at      INTEGER NOT NULL,
  started_at      INTEGER,
  ended_at        INTEGER,
  revision        INTEGER NOT NULL DEFAULT 0,  -- the newest event that tells of this task
  folder_revision INTEGER NOT NULL DEFAULT 0,  -- the revision that its task.json shows
  CHECK ((state = 'blocked') OR blocked_from IS NULL),
  CHECK ((state IN ('done','cancelled')) = (ended_at IS NOT NULL))
) STRICT;

-- The ready set in the order of the claim (model.md, rules 2 and 4).
CREATE INDEX tasks_ready ON tasks (priority DESC, begun DESC, position IS NULL, position, id)
  WHERE state = 'ready';
CREATE INDEX tasks_active ON tasks (state, id)
  WHERE state IN ('planning', 'in_flight', 'review', 'blocked');
-- For the board: what stands, and what has ended, newest first.
CREATE INDEX tasks_standing ON tasks (state, id) WHERE state IN ('inbox', 'failed');
CREATE INDEX tasks_ended ON tasks (ended_at, state) WHERE ended_at IS NOT NULL;
CREATE INDEX tasks_stale_folder ON tasks (id) WHERE folder_revision < revision;

CREATE TABLE task_places (                     -- chats in which a task is followed
  task_id  INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
  platform TEXT NOT NULL,
  chat     TEXT NOT NULL,
  message  TEXT,
  PRIMARY KEY (task_id, platform, chat)
) STRICT, WITHOUT ROWID;

CREATE TABLE task_labels (
  task_id INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
  kind    TEXT NOT NULL CHECK (kind IN ('tag','skill','preferred','language','touches')),
  value   TEXT NOT NULL CHECK (length(value) > 0),
  PRIMARY KEY (task_id, kind, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_labels_value ON task_labels (kind, value);

CREATE TABLE task_reasons (                    -- why a task is blocked; lifted when the last is gone
  task_id INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
  reason  TEXT NOT NULL CHECK (reason IN ('dependency','question','budget','limit','paused')),
  PRIMARY KEY (task_id, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE dependencies (
  task_id  INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
  needs_id INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
  PRIMARY KEY (task_id, needs_id),
  CHECK (task_id <> needs_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX dependencies_needs ON dependencies (needs_id);

CREATE TABLE criteria (
  task_id  INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
  position INTEGER NOT NULL,
  text     TEXT NOT NULL CHECK (length(text) > 0),
  command  TEXT,
  state    TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open','ticked','passed','failed')),
  PRIMARY KEY (task_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
  task_id    INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
  name       TEXT NOT NULL,
  version    INTEGER NOT NULL CHECK (version > 0),
  kind       TEXT NOT NULL DEFAULT 'document' CHECK (kind IN ('file','pr','document','link')),
  author     TEXT NOT NULL,
  sha256     TEXT NOT NULL,
  size       INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (task_id, name, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
  id                TEXT PRIMARY KEY,
  task_id           INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
  step              TEXT NOT NULL,
  agent             TEXT NOT NULL,
  driver            TEXT NOT NULL,
  sandbox           TEXT NOT NULL,
  account           TEXT,
  state             TEXT NOT NULL CHECK (state IN ('starting','running','suspended',
                                                   'terminating','terminated')),
  outcome           TEXT CHECK (outcome IN ('completed','failed','timeout','killed','stuck','lost')),
  reason            TEXT,
  branch            TEXT,
  worktree          TEXT NOT NULL,
  worktree_state    TEXT NOT NULL CHECK (worktree_state IN ('creating','active','suspended',
                                         'merging','archived','cleaning','gone')),
  driver_session    TEXT,
  tokens_in         INTEGER NOT NULL DEFAULT 0,
  tokens_out        INTEGER NOT NULL DEFAULT 0,
  cost_usd          REAL NOT NULL DEFAULT 0,
  tool_calls        INTEGER NOT NULL DEFAULT 0,
  last_activity_at  INTEGER,
  unreachable_since INTEGER,
  kept              TEXT,                      -- why its workspace is not removed
  created_at        INTEGER NOT NULL,
  started_at        INTEGER,
  ended_at          INTEGER,
  revision          INTEGER NOT NULL DEFAULT 0,
  CHECK ((state = 'terminated') = (ended_at IS NOT NULL)),
  CHECK (state <> 'terminated' OR outcome IS NOT NULL)
) STRICT, WITHOUT ROWID;

-- One live session a task step, whatever the code believes.
CREATE UNIQUE INDEX sessions_one_live ON sessions (task_id, step)
  WHERE state IN ('starting', 'running', 'terminating');
CREATE INDEX sessions_open ON sessions (state) WHERE state <> 'terminated';
CREATE INDEX sessions_untidy ON sessions (task_id)
  WHERE state = 'terminated' AND kept IS NULL AND worktree_state IN ('archived', 'cleaning');
CREATE INDEX sessions_of_task ON sessions (task_id);
CREATE INDEX sessions_of_agent ON sessions (agent);
CREATE INDEX sessions_ended ON sessions (ended_at, cost_usd) WHERE ended_at IS NOT NULL;

CREATE TABLE attempts (
  session_id  TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
  number      INTEGER NOT NULL CHECK (number > 0),
  state       TEXT NOT NULL CHECK (state IN ('starting','running','ended')),
  handle      TEXT,
  token_hash  TEXT,
  position    INTEGER NOT NULL DEFAULT 0,   -- how far its output has been taken into this database
  inputs      INTEGER NOT NULL DEFAULT 0,   -- how many inputs are owed to it
  tokens_in   INTEGER NOT NULL DEFAULT 0,
  tokens_out  INTEGER NOT NULL DEFAULT 0,
  cost_usd    REAL NOT NULL DEFAULT 0,
  exit_status INTEGER,
  exit_signal INTEGER,
  exit_reason TEXT,
  started_at  INTEGER,
  ended_at    INTEGER,
  PRIMARY KEY (session_id, number),
  CHECK ((state = 'ended') = (ended_at IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX attempts_one_live ON attempts (session_id) WHERE state <> 'ended';

-- What a person or Bullpen says to a running attempt; written to it under its number.
CREATE TABLE inputs (
  session_id TEXT NOT NULL,
  attempt    INTEGER NOT NULL,
  number     INTEGER NOT NULL CHECK (number > 0),
  data       BLOB NOT NULL,
  last       INTEGER NOT NULL DEFAULT 0 CHECK (last IN (0, 1)),
  sent       INTEGER NOT NULL DEFAULT 0 CHECK (sent IN (0, 1)),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (session_id, attempt, number),
  FOREIGN KEY (session_id, attempt) REFERENCES attempts ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX inputs_owed ON inputs (session_id, attempt, number) WHERE sent = 0;

CREATE TABLE iterations (
  session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
  number     INTEGER NOT NULL CHECK (number > 0),
  attempt    INTEGER NOT NULL,
  state      TEXT NOT NULL CHECK (state IN ('running','waiting','completed','failed','killed')),
  cause      TEXT NOT NULL CHECK (cause IN ('first','rejected','qa','answer','retry','conflict','resume')),
  prompt     TEXT NOT NULL,
  qa         TEXT NOT NULL DEFAULT 'pending' CHECK (qa IN ('pending','passed','failed','skipped')),
  summary    TEXT,
  outcome    TEXT,
  reason     TEXT,
  started_at INTEGER NOT NULL,
  ended_at   INTEGER,
  PRIMARY KEY (session_id, number),
  CHECK ((state IN ('running','waiting')) = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX iterations_one_live ON iterations (session_id)
  WHERE state IN ('running', 'waiting');
CREATE INDEX iterations_unjudged ON iterations (session_id)
  WHERE state = 'completed' AND qa = 'pending';

CREATE TABLE qa_results (
  id         INTEGER PRIMARY KEY,
  session_id TEXT NOT NULL,
  iteration  INTEGER NOT NULL,
  result     TEXT NOT NULL CHECK (result IN ('passed','failed','skipped')),
  findings   TEXT NOT NULL DEFAULT '[]' CHECK (substr(findings, 1, 1) = '['),
  judged_by  TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  FOREIGN KEY (session_id, iteration) REFERENCES iterations ON DELETE CASCADE
) STRICT;
CREATE INDEX qa_results_of ON qa_results (session_id, iteration);

CREATE TABLE gates (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  kind           TEXT NOT NULL CHECK (kind IN ('review','permission','question','merge','budget')),
  state          TEXT NOT NULL CHECK (state IN ('open','approved','rejected','answered','expired','cancelled')),
  scope          TEXT NOT NULL DEFAULT 'task' CHECK (scope IN ('task','session','run','agent','day')),
  task_id        INTEGER REFERENCES tasks ON DELETE CASCADE,
  session_id     TEXT REFERENCES sessions ON DELETE CASCADE,
  attempt        INTEGER,
  iteration      INTEGER,
  step           TEXT,
  run_id         INTEGER,
  agent          TEXT,
  title          TEXT NOT NULL,
  body           TEXT NOT NULL DEFAULT '',
  options        TEXT NOT NULL DEFAULT '[]' CHECK (substr(options, 1, 1) = '['),
  request        TEXT NOT NULL DEFAULT '{}' CHECK (substr(request, 1, 1) = '{'),
  request_key    TEXT,                      -- the driver's own id of what it asked
  patch_id       TEXT,                      -- what the approval is bound to
  base           TEXT,
  head           TEXT,
  artifact_hash  TEXT,
  may_answer     INTEGER NOT NULL DEFAULT 3 CHECK (may_answer BETWEEN 1 AND 4),
  needed         INTEGER NOT NULL DEFAULT 1 CHECK (needed > 0),
  deadline_at    INTEGER,
  opened_at      INTEGER NOT NULL,
  answered_at    INTEGER,
  answered_by    TEXT,
  answered_name  TEXT,
  answered_place TEXT,
  answer         TEXT,
  revision       INTEGER NOT NULL DEFAULT 0,
  CHECK ((state = 'open') = (answered_at IS NULL))
) STRICT;
CREATE INDEX gates_open ON gates (opened_at) WHERE state = 'open';
CREATE INDEX gates_of_task ON gates (task_id);
CREATE UNIQUE INDEX gates_one_decision ON gates (task_id, step)
  WHERE state = 'open' AND kind IN ('review', 'merge');
CREATE UNIQUE INDEX gates_one_request ON gates (session_id, attempt, request_key)
  WHERE request_key IS NOT NULL;

CREATE TABLE gate_votes (
  gate_id    INTEGER NOT NULL REFERENCES gates ON DELETE CASCADE,
  actor      TEXT NOT NULL,
  name       TEXT NOT NULL DEFAULT '',
  decision   TEXT NOT NULL,
  comment    TEXT NOT NULL DEFAULT '',
  place      TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL,
  PRIMARY KEY (gate_id, actor)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT,
  type         TEXT NOT NULL CHECK (type GLOB '[a-z]*.[a-z]*'),
  severity     TEXT NOT NULL CHECK (severity IN ('debug','info','warning','error','critical')),
  text         TEXT NOT NULL DEFAULT '',
  task_id      INTEGER,
  agent        TEXT,
  session_id   TEXT,
  gate_id      INTEGER,
  run_id       INTEGER,
  payload      TEXT NOT NULL DEFAULT '{}' CHECK (substr(payload, 1, 1) = '{'),
  at           INTEGER NOT NULL,
  processed_at INTEGER
) STRICT;
CREATE INDEX events_of_task ON events (task_id, seq) WHERE task_id IS NOT NULL;
CREATE TRIGGER events_are_append_only BEFORE UPDATE OF type, text, task_id, payload, at ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TABLE intake (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  platform    TEXT NOT NULL,
  bot         TEXT NOT NULL,
  update_key  TEXT NOT NULL,
  payload     TEXT NOT NULL,
  state       TEXT NOT NULL DEFAULT 'stored' CHECK (state IN ('stored','executed','refused')),
  note        TEXT,
  received_at INTEGER NOT NULL,
  executed_at INTEGER,
  UNIQUE (platform, bot, update_key),
  CHECK ((state = 'stored') = (executed_at IS NULL))
) STRICT;
CREATE INDEX intake_stored ON intake (id) WHERE state = 'stored';

CREATE TABLE deliveries (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  platform   TEXT NOT NULL,
  chat       TEXT NOT NULL,
  key        TEXT,                          -- names the message that a later one replaces
  urgency    INTEGER NOT NULL CHECK (urgency BETWEEN 0 AND 3), -- 0 decisions, 1 answers, 2 news, 3 progress
  silent     INTEGER NOT NULL DEFAULT 0 CHECK (silent IN (0, 1)),
  task_id    INTEGER,
  gate_id    INTEGER,
  reply_to   TEXT,
  reply      TEXT NOT NULL CHECK (substr(reply, 1, 1) = '{'),
  state      TEXT NOT NULL DEFAULT 'owed' CHECK (state IN ('owed','sent','dropped')),
  note       TEXT,
  tries      INTEGER NOT NULL DEFAULT 0,
  not_before INTEGER,
  message    TEXT,
  created_at INTEGER NOT NULL,
  ended_at   INTEGER,
  CHECK ((state = 'owed') = (ended_at IS NULL))
) STRICT;
CREATE INDEX deliveries_owed ON deliveries (platform, urgency, seq) WHERE state = 'owed';
CREATE UNIQUE INDEX deliveries_newest ON deliveries (platform, chat, key)
  WHERE state = 'owed' AND key IS NOT NULL;

CREATE TABLE messages (                     -- what stands in a chat
  platform   TEXT NOT NULL,
  chat       TEXT NOT NULL,
  message    TEXT NOT NULL,
  key        TEXT,
  task_id    INTEGER,
  gate_id    INTEGER,
  prompt     TEXT,                          -- the command that an answer to this message completes
  created_at INTEGER NOT NULL,
  PRIMARY KEY (platform, chat, message)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX messages_key ON messages (platform, chat, key) WHERE key IS NOT NULL;
CREATE INDEX messages_of_task ON messages (task_id) WHERE task_id IS NOT NULL;

CREATE TABLE buttons (                      -- one-time keys; a press is looked up here
  key        TEXT PRIMARY KEY,
  platform   TEXT NOT NULL,
  chat       TEXT NOT NULL,
  message    TEXT,
  delivery   INTEGER,
  label      TEXT NOT NULL,
  command    TEXT NOT NULL,
  ask        TEXT,
  gate_id    INTEGER,
  hash       TEXT,
  expires_at INTEGER NOT NULL,
  used_at    INTEGER,
  used_by    TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX buttons_of ON buttons (platform, chat, message);

CREATE TABLE people (                       -- let in by pairing or by an admin; the configuration comes first
  platform   TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  name       TEXT NOT NULL DEFAULT '',
  role       INTEGER NOT NULL CHECK (role BETWEEN 0 AND 4),
  added_by   TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (platform, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE pairing (
  code_hash  TEXT PRIMARY KEY,
  tries      INTEGER NOT NULL DEFAULT 0,
  expires_at INTEGER NOT NULL,
  used_at    INTEGER,
  used_by    TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
  key        TEXT PRIMARY KEY,
  value      TEXT NOT NULL CHECK (length(value) > 0),
  set_by     TEXT NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE state_counts (                 -- kept, not counted
  state TEXT PRIMARY KEY,
  n     INTEGER NOT NULL CHECK (n >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO state_counts VALUES ('inbox',0),('planning',0),('ready',0),('in_flight',0),
  ('review',0),('done',0),('blocked',0),('failed',0),('cancelled',0);
CREATE TRIGGER tasks_counted AFTER INSERT ON tasks
BEGIN UPDATE state_counts SET n = n + 1 WHERE state = NEW.state; END;
CREATE TRIGGER tasks_recounted AFTER UPDATE OF state ON tasks WHEN OLD.state <> NEW.state
BEGIN
  UPDATE state_counts SET n = n - 1 WHERE state = OLD.state;
  UPDATE state_counts SET n = n + 1 WHERE state = NEW.state;
END;
CREATE TRIGGER tasks_discounted AFTER DELETE ON tasks
BEGIN UPDATE state_counts SET n = n - 1 WHERE state = OLD.state; END;
