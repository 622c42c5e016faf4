-- Agents for real: the way back with its tokens, leases, terminals, memory, worktrees by hand.

-- The attempt that a token belongs to; an ended one has none any more.
CREATE UNIQUE INDEX attempts_by_token ON attempts (token_hash)
  WHERE token_hash IS NOT NULL AND state <> 'ended';

-- Who took the attempt's lease before working: a pod may be started twice for one job.
ALTER TABLE attempts ADD COLUMN lease TEXT;
ALTER TABLE attempts ADD COLUMN leased_at INTEGER;

-- A person types to it in a terminal.
ALTER TABLE sessions ADD COLUMN interactive INTEGER NOT NULL DEFAULT 0 CHECK (interactive IN (0, 1));
-- The worktree that was made by hand and that it works in; none: one of its own.
ALTER TABLE sessions ADD COLUMN borrowed INTEGER REFERENCES worktrees;

-- Worktrees that people asked for; a session's own is in its row. `path` is absolute.
CREATE TABLE worktrees (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  path       TEXT NOT NULL,
  repo       TEXT NOT NULL,
  branch     TEXT NOT NULL,
  base       TEXT NOT NULL,                -- the commit that it began at
  agent      TEXT,
  task_id    INTEGER REFERENCES tasks ON DELETE SET NULL,
  state      TEXT NOT NULL CHECK (state IN ('creating','active','suspended','merging',
                                            'archived','cleaning','gone')),
  kept       TEXT,                         -- why it was not removed
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  revision   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX worktrees_one_branch ON worktrees (repo, branch) WHERE state <> 'gone';

-- What is gone gives its path back.
CREATE UNIQUE INDEX worktrees_one_path ON worktrees (path) WHERE state <> 'gone';
-- Begun and not finished: the next tick goes on with it.
CREATE INDEX worktrees_unsettled ON worktrees (id) WHERE state IN ('creating', 'cleaning');
CREATE INDEX sessions_unsettled ON sessions (id)
  WHERE state = 'terminated' AND worktree_state = 'cleaning';
-- Its branch goes with it.
ALTER TABLE worktrees ADD COLUMN drop_branch INTEGER NOT NULL DEFAULT 0 CHECK (drop_branch IN (0, 1));
ALTER TABLE sessions ADD COLUMN drop_branch INTEGER NOT NULL DEFAULT 0 CHECK (drop_branch IN (0, 1));
-- Who works in it; those that still take up room.
CREATE INDEX sessions_borrowing ON sessions (borrowed) WHERE borrowed IS NOT NULL;
CREATE INDEX sessions_with_worktree ON sessions (created_at) WHERE worktree_state <> 'gone';

-- Why its last process ended though nobody had asked for it and it goes on (the machine went down).
ALTER TABLE sessions ADD COLUMN cut_off TEXT;
-- How a spawned task's session is to begin: at a terminal, in a worktree made by hand.
ALTER TABLE tasks ADD COLUMN interactive INTEGER NOT NULL DEFAULT 0 CHECK (interactive IN (0, 1));
ALTER TABLE tasks ADD COLUMN borrows INTEGER REFERENCES worktrees ON DELETE SET NULL;

-- The last lines worth reading, redacted: the live message shows them.
ALTER TABLE sessions ADD COLUMN tail TEXT NOT NULL DEFAULT '';
-- Chats in which the live message shows more of them (`/logs 42 --follow`).
CREATE TABLE follows (
  task_id  INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
  platform TEXT NOT NULL,
  chat     TEXT NOT NULL,
  PRIMARY KEY (task_id, platform, chat)
) STRICT, WITHOUT ROWID;

-- The conversation that it was to go on with: only such a one can be lost, and is begun anew once.
ALTER TABLE attempts ADD COLUMN resumes TEXT;

-- A person's words in it: whoever was interrupted before it took them up is told them again.
ALTER TABLE inputs ADD COLUMN said TEXT;
ALTER TABLE inputs ADD COLUMN said_by TEXT;

-- Bullpen ends it with itself (`--stop-agents`): a `stopped` without it came from the machine.
ALTER TABLE attempts ADD COLUMN called_off INTEGER NOT NULL DEFAULT 0 CHECK (called_off IN (0, 1));

-- Ended on a person's word while nothing answered: what may still run is ended once it does.
ALTER TABLE attempts ADD COLUMN given_up INTEGER NOT NULL DEFAULT 0 CHECK (given_up IN (0, 1));
CREATE INDEX attempts_given_up ON attempts (session_id) WHERE given_up = 1;
