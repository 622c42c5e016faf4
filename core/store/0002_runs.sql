-- Runs in waves, receipts, budgets, limits, the crew's overrides, and a claim that costs the
-- same however much waits.
--
-- run:  planned → running ⇄ paused → completed|failed|cancelled
-- wave: pending → running ⇄ paused → completed|failed|cancelled; failed → running on repair

-- -- the queue ---------------------------------------------------------------------------

-- Why a ready task can't be claimed just now: its wave hasn't started, its run is paused, a task
-- under way (`held_by`) touches the same files, or something is wrong with it (`hold` says what).
ALTER TABLE tasks ADD COLUMN held TEXT CHECK (held IN ('wave','run','collision','aside'));
ALTER TABLE tasks ADD COLUMN held_by INTEGER;
ALTER TABLE tasks ADD COLUMN run_id INTEGER REFERENCES runs;   -- while the run is open
ALTER TABLE tasks ADD COLUMN wave INTEGER;
ALTER TABLE tasks ADD COLUMN demand INTEGER;                   -- what it asks of an agent
ALTER TABLE tasks ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0; -- spent by all its sessions
ALTER TABLE tasks ADD COLUMN cost_usd REAL NOT NULL DEFAULT 0;

UPDATE tasks SET tokens = (SELECT coalesce(sum(tokens_in + tokens_out), 0) FROM sessions WHERE task_id = tasks.id),
  cost_usd = (SELECT total(cost_usd) FROM sessions WHERE task_id = tasks.id);

-- A place in the queue from the start, with room to move others in between. `clear` forgets
-- those of ended tasks.
UPDATE tasks SET position = id * 1024 WHERE position IS NULL;
CREATE TRIGGER tasks_placed AFTER INSERT ON tasks WHEN NEW.position IS NULL
BEGIN UPDATE tasks SET position = NEW.id * 1024 WHERE id = NEW.id; END;

-- What tasks ask of an agent, each combination once. `key` is JSON, its columns decide who fits.
-- `said`: what was told about nobody fitting, so that it is told once.
CREATE TABLE demands (
  id   INTEGER PRIMARY KEY,
  key  TEXT NOT NULL UNIQUE CHECK (substr(key, 1, 1) = '{'),
  said TEXT
) STRICT;

CREATE INDEX tasks_claim ON tasks (demand, priority DESC, begun DESC, position IS NULL, position, id)
  WHERE state = 'ready' AND held IS NULL;
CREATE INDEX tasks_undemanded ON tasks (id) WHERE state = 'ready' AND demand IS NULL;
CREATE INDEX tasks_aside ON tasks (id) WHERE held = 'aside';
CREATE INDEX tasks_of_run ON tasks (run_id, wave) WHERE run_id IS NOT NULL;
CREATE INDEX tasks_held_by ON tasks (held_by) WHERE held_by IS NOT NULL;
CREATE INDEX tasks_of_lane ON tasks (lane, ended_at) WHERE lane IS NOT NULL;
CREATE INDEX tasks_due ON tasks (not_before) WHERE state = 'ready' AND not_before IS NOT NULL;

CREATE TRIGGER tasks_demand_anew AFTER UPDATE OF workflow, step, assignee, assigned_step, lane, run_command, repo
  ON tasks WHEN NEW.demand IS NOT NULL AND (OLD.workflow IS NOT NEW.workflow OR OLD.step IS NOT NEW.step
    OR OLD.assignee IS NOT NEW.assignee OR OLD.assigned_step IS NOT NEW.assigned_step OR OLD.lane IS NOT NEW.lane
    OR OLD.run_command IS NOT NEW.run_command OR OLD.repo IS NOT NEW.repo)
BEGIN UPDATE tasks SET demand = NULL WHERE id = NEW.id; END;
CREATE TRIGGER labels_demand_added AFTER INSERT ON task_labels WHEN NEW.kind IN ('skill','preferred','language')
BEGIN UPDATE tasks SET demand = NULL WHERE id = NEW.task_id AND demand IS NOT NULL; END;
CREATE TRIGGER labels_demand_taken AFTER DELETE ON task_labels WHEN OLD.kind IN ('skill','preferred','language')
BEGIN UPDATE tasks SET demand = NULL WHERE id = OLD.task_id AND demand IS NOT NULL; END;

-- What stays of a task that was deleted: its folder and its sessions' workspaces are kept.
CREATE TABLE deleted_tasks (
  id         INTEGER PRIMARY KEY,
  title      TEXT NOT NULL,
  folder     TEXT NOT NULL,
  sessions   TEXT NOT NULL CHECK (substr(sessions, 1, 1) = '['),
  deleted_by TEXT NOT NULL,
  deleted_at INTEGER NOT NULL
) STRICT;

-- -- runs --------------------------------------------------------------------------------

CREATE TABLE runs (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  title         TEXT NOT NULL CHECK (length(title) > 0),
  lane          TEXT,
  state         TEXT NOT NULL CHECK (state IN ('planned','running','paused','completed','failed','cancelled')),
  because       INTEGER,                        -- the failed task that paused it
  wave          INTEGER NOT NULL DEFAULT 0,     -- the one under way
  waves         INTEGER NOT NULL CHECK (waves > 0),
  total         INTEGER NOT NULL CHECK (total > 0),
  done          INTEGER NOT NULL DEFAULT 0 CHECK (done >= 0),
  failed        INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),   -- failed or cancelled
  budget_tokens INTEGER CHECK (budget_tokens > 0),
  budget_usd    REAL CHECK (budget_usd > 0),
  tokens        INTEGER NOT NULL DEFAULT 0,
  cost_usd      REAL NOT NULL DEFAULT 0,
  created_by    TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  started_at    INTEGER,
  ended_at      INTEGER,
  revision      INTEGER NOT NULL DEFAULT 0,
  CHECK (done + failed <= total),
  CHECK ((state IN ('completed','failed','cancelled')) = (ended_at IS NOT NULL))
) STRICT;
CREATE INDEX runs_open ON runs (id) WHERE state IN ('planned', 'running', 'paused');

CREATE TABLE waves (
  run_id     INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  number     INTEGER NOT NULL CHECK (number > 0),
  state      TEXT NOT NULL CHECK (state IN ('pending','running','paused','completed','failed','cancelled')),
  total      INTEGER NOT NULL CHECK (total > 0),
  open       INTEGER NOT NULL CHECK (open BETWEEN 0 AND total),   -- kept: tasks that have not ended
  started_at INTEGER,
  ended_at   INTEGER,
  PRIMARY KEY (run_id, number)
) STRICT, WITHOUT ROWID;

-- Every task that a run has had, also after it has left it.
CREATE TABLE run_tasks (
  run_id  INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  task_id INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
  wave    INTEGER NOT NULL,
  outcome TEXT CHECK (outcome IN ('done','failed','cancelled','returned')),
  PRIMARY KEY (run_id, task_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_tasks_of ON run_tasks (task_id);

CREATE TABLE run_places (                       -- chats in which a run is followed
  run_id   INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  platform TEXT NOT NULL,
  chat     TEXT NOT NULL,
  message  TEXT,
  PRIMARY KEY (run_id, platform, chat)
) STRICT, WITHOUT ROWID;

-- -- files -------------------------------------------------------------------------------

-- Which files a task's sessions changed: for the next tasks of its lane, and to see two
-- worktrees change the same one.
CREATE TABLE touched (
  task_id INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
  path    TEXT NOT NULL CHECK (length(path) > 0),
  at      INTEGER NOT NULL,
  PRIMARY KEY (task_id, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX touched_path ON touched (path);

CREATE TABLE overlaps (                         -- told once, with both tasks
  task_id  INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
  other_id INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
  path     TEXT NOT NULL,
  at       INTEGER NOT NULL,
  PRIMARY KEY (task_id, other_id, path),
  CHECK (task_id < other_id)
) STRICT, WITHOUT ROWID;

-- -- receipts ----------------------------------------------------------------------------

-- What Bullpen itself ran and saw at a commit. `base` is what the commit was built on: the same
-- change rebased has another base and another receipt.
CREATE TABLE receipts (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  task_id     INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
  session_id  TEXT,
  commit_id   TEXT NOT NULL,
  base        TEXT NOT NULL,
  patch_id    TEXT NOT NULL,
  result      TEXT NOT NULL CHECK (result IN ('passed','failed')),
  checks      TEXT NOT NULL CHECK (substr(checks, 1, 1) = '['),
  passed      INTEGER,                          -- tests, where the runner prints them
  failed      INTEGER,
  skipped     INTEGER,
  files       INTEGER NOT NULL DEFAULT 0,
  added       INTEGER NOT NULL DEFAULT 0,
  removed     INTEGER NOT NULL DEFAULT 0,
  duration_ms INTEGER NOT NULL,
  tokens      INTEGER NOT NULL DEFAULT 0,       -- spent on the task up to then
  cost_usd    REAL NOT NULL DEFAULT 0,
  stale_at    INTEGER,
  stale_why   TEXT,
  created_at  INTEGER NOT NULL,
  CHECK ((stale_at IS NULL) = (stale_why IS NULL))
) STRICT;
CREATE INDEX receipts_of_task ON receipts (task_id, id);
-- The newest that still counts is one a task.
CREATE UNIQUE INDEX receipts_valid ON receipts (task_id) WHERE stale_at IS NULL;

-- -- money and limits --------------------------------------------------------------------

-- What was spent and what may be, for each scope: a task, a run, an agent's day, a day.
-- `key`: the task's or run's number, `coder-1 2026-11-21`, `2026-11-21`.
CREATE TABLE budgets (
  scope         TEXT NOT NULL CHECK (scope IN ('task','run','agent','day')),
  key           TEXT NOT NULL CHECK (length(key) > 0),
  tokens        INTEGER NOT NULL DEFAULT 0 CHECK (tokens >= 0),
  cost_usd      REAL NOT NULL DEFAULT 0,
  unpriced      INTEGER NOT NULL DEFAULT 0 CHECK (unpriced >= 0), -- tokens of models without a price
  more_tokens   INTEGER NOT NULL DEFAULT 0,     -- granted by answers, on top of the budget
  more_usd      REAL NOT NULL DEFAULT 0,
  asked_tokens  INTEGER NOT NULL DEFAULT 0,     -- the limit for which the gate was opened
  asked_usd     REAL NOT NULL DEFAULT 0,
  stopped       INTEGER NOT NULL DEFAULT 0 CHECK (stopped IN (0, 1)),
  updated_at    INTEGER NOT NULL,
  PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX budgets_stopped ON budgets (scope, key) WHERE stopped = 1;

INSERT INTO budgets (scope, key, tokens, cost_usd, updated_at)
  SELECT 'task', id, tokens, cost_usd, updated_at FROM tasks WHERE tokens > 0 OR cost_usd > 0;

ALTER TABLE gates ADD COLUMN subject TEXT;      -- of a budget gate: the budget's key
CREATE UNIQUE INDEX gates_one_budget ON gates (scope, subject) WHERE state = 'open' AND kind = 'budget';

-- Why its process is to be stopped and the session suspended, or was: it goes on later.
ALTER TABLE sessions ADD COLUMN held_for TEXT CHECK (held_for IN ('paused','limit','budget'));
ALTER TABLE sessions ADD COLUMN model TEXT;     -- as the agent itself names it
-- "Finish this step": budgets don't stop it any more.
ALTER TABLE sessions ADD COLUMN unstoppable INTEGER NOT NULL DEFAULT 0 CHECK (unstoppable IN (0, 1));

CREATE TABLE limits (                           -- accounts at their provider's usage limit
  account    TEXT PRIMARY KEY,
  until      INTEGER NOT NULL,                  -- when it is tried again
  known      INTEGER NOT NULL CHECK (known IN (0, 1)), -- whether the provider named that time
  tries      INTEGER NOT NULL DEFAULT 1,
  words      TEXT NOT NULL,
  since      INTEGER NOT NULL,
  lifted_at  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX limits_standing ON limits (until) WHERE lifted_at IS NULL;

-- -- the crew ----------------------------------------------------------------------------

-- What chat or API changed: over the configured agent of that name, or one of its own.
CREATE TABLE agents (
  name       TEXT PRIMARY KEY,
  changes    TEXT NOT NULL CHECK (substr(changes, 1, 1) = '{'), -- the fields that differ
  own        INTEGER NOT NULL CHECK (own IN (0, 1)),            -- registered here, not in a file
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How an agent has done on a lane ('' where a task has none): kept, not counted.
CREATE TABLE records (
  agent     TEXT NOT NULL,
  lane      TEXT NOT NULL,
  completed INTEGER NOT NULL DEFAULT 0,
  failed    INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (agent, lane)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER sessions_recorded AFTER UPDATE OF state ON sessions
  WHEN NEW.state = 'terminated' AND OLD.state <> 'terminated' AND NEW.outcome IN ('completed','failed','timeout','stuck')
BEGIN
  INSERT INTO records (agent, lane, completed, failed)
    SELECT NEW.agent, coalesce(lane, ''), NEW.outcome = 'completed', NEW.outcome <> 'completed'
      FROM tasks WHERE id = NEW.task_id
    ON CONFLICT (agent, lane) DO UPDATE SET
      completed = completed + excluded.completed, failed = failed + excluded.failed;
END;
INSERT INTO records (agent, lane, completed, failed)
  SELECT agent, coalesce(lane, ''), sum(outcome = 'completed'), sum(outcome <> 'completed')
    FROM sessions JOIN tasks ON tasks.id = task_id
    WHERE sessions.state = 'terminated' AND outcome IN ('completed','failed','timeout','stuck') GROUP BY 1, 2;

-- -- what is kept --------------------------------------------------------------------------

-- Counted anew once: from now on it is kept for tasks that have begun or ended, too.
UPDATE tasks SET unmet = (SELECT count(*) FROM dependencies JOIN tasks n ON n.id = needs_id
  WHERE dependencies.task_id = tasks.id AND n.state <> 'done');

-- Who paused a run: with the failure mended it goes on only if no person holds it.
ALTER TABLE runs ADD COLUMN paused_by TEXT;
-- The first wave that has not ended, one step away however long the chain.
CREATE INDEX waves_open ON waves (run_id, number) WHERE open > 0;

-- -- events ------------------------------------------------------------------------------

-- What an event tells of carries its number from then on.
CREATE TRIGGER events_of_tasks AFTER INSERT ON events WHEN NEW.task_id IS NOT NULL
BEGIN UPDATE tasks SET revision = NEW.seq WHERE id = NEW.task_id; END;
CREATE TRIGGER events_of_sessions AFTER INSERT ON events WHEN NEW.session_id IS NOT NULL
BEGIN UPDATE sessions SET revision = NEW.seq WHERE id = NEW.session_id; END;
CREATE TRIGGER events_of_gates AFTER INSERT ON events WHEN NEW.gate_id IS NOT NULL
BEGIN UPDATE gates SET revision = NEW.seq WHERE id = NEW.gate_id; END;
CREATE TRIGGER events_of_runs AFTER INSERT ON events WHEN NEW.run_id IS NOT NULL
BEGIN UPDATE runs SET revision = NEW.seq WHERE id = NEW.run_id; END;
-- Whether its folder's task.json says that it was deleted: written after the commit.
ALTER TABLE deleted_tasks ADD COLUMN marked INTEGER NOT NULL DEFAULT 0 CHECK (marked IN (0, 1));
CREATE INDEX deleted_unmarked ON deleted_tasks (id) WHERE marked = 0;
-- Where a message stands under a key, whatever the chat: its next edit goes there.
CREATE INDEX messages_keyed ON messages (key) WHERE key IS NOT NULL;
-- What an attempt used, message by message since its agent's last total: JSON.
ALTER TABLE attempts ADD COLUMN usage TEXT;
-- What happened in a run, for its page.
CREATE INDEX events_of_run ON events (run_id, seq) WHERE run_id IS NOT NULL;
-- When a task that need not be remembered leaves the pages' lists, a day after its end.
CREATE INDEX tasks_passing ON tasks (ended_at) WHERE ephemeral = 1 AND ended_at IS NOT NULL;
-- An agent's newest sessions, one step each, however many it has had.
DROP INDEX sessions_of_agent;
CREATE INDEX sessions_of_agent ON sessions (agent, created_at);
-- It is being stopped, and a person won't wait for it any more.
ALTER TABLE sessions ADD COLUMN forced INTEGER NOT NULL DEFAULT 0 CHECK (forced IN (0, 1));
