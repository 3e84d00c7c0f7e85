-- +goose Up

-- One row: its lock puts everything that people and rules change into one order, and its number
-- tells servers that something has.
CREATE TABLE epoch (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	epoch BIGINT NOT NULL
);
INSERT INTO epoch (one, epoch) VALUES (1, 1);

-- Times are microseconds since 1970; 0 is none.
CREATE TABLE apps (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL UNIQUE,
	root BLOB NOT NULL,
	settings TEXT NOT NULL,
	secret BLOB NOT NULL,
	boards BIGINT NOT NULL DEFAULT 0,
	minute BIGINT NOT NULL DEFAULT 0,
	minute_boards BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE keysets (
	app BIGINT NOT NULL REFERENCES apps (id),
	n BIGINT NOT NULL,
	document BLOB NOT NULL,
	PRIMARY KEY (app, n)
);

CREATE TABLE releases (
	app BIGINT NOT NULL REFERENCES apps (id),
	version BIGINT NOT NULL,
	signed BLOB NOT NULL,
	published BIGINT NOT NULL,
	step_through SMALLINT NOT NULL,
	withdrawn SMALLINT NOT NULL,
	PRIMARY KEY (app, version)
);

CREATE TABLE channels (
	app BIGINT NOT NULL REFERENCES apps (id),
	name TEXT NOT NULL,
	release BIGINT NOT NULL,
	PRIMARY KEY (app, name)
);

CREATE TABLE rollouts (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	app BIGINT NOT NULL REFERENCES apps (id),
	channel TEXT NOT NULL,
	version BIGINT NOT NULL,
	plan TEXT NOT NULL,
	state TEXT NOT NULL,
	reason TEXT NOT NULL,
	step INTEGER NOT NULL,
	step_since BIGINT NOT NULL,
	forgiven TEXT NOT NULL,
	offered BIGINT NOT NULL DEFAULT 0,
	downloading BIGINT NOT NULL DEFAULT 0,
	trial BIGINT NOT NULL DEFAULT 0,
	confirmed BIGINT NOT NULL DEFAULT 0,
	undone BIGINT NOT NULL DEFAULT 0,
	failed BIGINT NOT NULL DEFAULT 0,
	timed_out BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX rollouts_app ON rollouts (app, id);
-- One at a time in a channel.
CREATE UNIQUE INDEX rollouts_open ON rollouts (app, channel) WHERE state IN ('running', 'paused', 'halted');

CREATE TABLE boards (
	app BIGINT NOT NULL,
	id TEXT NOT NULL,
	channel TEXT NOT NULL,
	tags TEXT NOT NULL,
	pin BIGINT NOT NULL,
	hidden SMALLINT NOT NULL,
	revoked SMALLINT NOT NULL,
	first_seen BIGINT NOT NULL,
	last_seen BIGINT NOT NULL,
	version BIGINT NOT NULL,
	state TEXT NOT NULL,
	error TEXT NOT NULL,
	board TEXT NOT NULL,
	micropython TEXT NOT NULL,
	lib TEXT NOT NULL,
	free BIGINT NOT NULL,
	said_channel TEXT NOT NULL,
	follows TEXT NOT NULL,
	rollout BIGINT NOT NULL,
	target BIGINT NOT NULL,
	offer BIGINT NOT NULL,
	stage SMALLINT NOT NULL,
	since BIGINT NOT NULL,
	before TEXT NOT NULL,
	PRIMARY KEY (app, id)
) WITHOUT ROWID;
-- Every list of boards is read off one of these, in the order of IDs; none has a column that
-- changes with every poll.
CREATE INDEX boards_version ON boards (app, version, id);
CREATE INDEX boards_state ON boards (app, state, id);
CREATE INDEX boards_error ON boards (app, error, id);
CREATE INDEX boards_board ON boards (app, board, id);
CREATE INDEX boards_micropython ON boards (app, micropython, id);
CREATE INDEX boards_lib ON boards (app, lib, id);
CREATE INDEX boards_follows ON boards (app, follows, id);
CREATE INDEX boards_hidden ON boards (app, id) WHERE hidden = 1;
CREATE INDEX boards_stage ON boards (rollout, stage, id) WHERE rollout <> 0;
CREATE INDEX boards_since ON boards (rollout, since) WHERE stage IN (1, 2, 3);

CREATE TABLE tags (
	app BIGINT NOT NULL,
	tag TEXT NOT NULL,
	id TEXT NOT NULL,
	PRIMARY KEY (app, tag, id)
) WITHOUT ROWID;

-- How many boards have which value of an attribute.
CREATE TABLE counts (
	app BIGINT NOT NULL,
	attribute TEXT NOT NULL,
	value TEXT NOT NULL,
	boards BIGINT NOT NULL,
	PRIMARY KEY (app, attribute, value)
) WITHOUT ROWID;

-- Boards that people have changed, by the epoch in which they did; the ID is empty where it was
-- too many to name.
CREATE TABLE changes (
	epoch BIGINT NOT NULL,
	app BIGINT NOT NULL,
	id TEXT NOT NULL,
	PRIMARY KEY (epoch, app, id)
) WITHOUT ROWID;

CREATE TABLE tokens (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL,
	hash BLOB NOT NULL UNIQUE,
	scope TEXT NOT NULL,
	created BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	revoked BIGINT NOT NULL
);

CREATE TABLE audit (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	at BIGINT NOT NULL,
	actor TEXT NOT NULL,
	action TEXT NOT NULL,
	app TEXT NOT NULL,
	object TEXT NOT NULL,
	before TEXT NOT NULL,
	after TEXT NOT NULL
);
CREATE INDEX audit_app ON audit (app, id);

-- The log can be added to, and nothing else.
-- +goose StatementBegin
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log cannot be changed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log cannot be changed'); END;
-- +goose StatementEnd
