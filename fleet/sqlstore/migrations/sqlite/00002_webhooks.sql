-- +goose Up

CREATE TABLE webhooks (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	url TEXT NOT NULL,
	app TEXT NOT NULL,
	events TEXT NOT NULL,
	secret TEXT NOT NULL,
	created BIGINT NOT NULL,
	failures INTEGER NOT NULL DEFAULT 0,
	failing BIGINT NOT NULL DEFAULT 0,
	disabled BIGINT NOT NULL DEFAULT 0,
	reason TEXT NOT NULL DEFAULT ''
);

-- What webhooks are to be told. A row is written in the transaction of what it tells of. Who
-- wants to send one puts off when it is due, and so has it alone until then.
CREATE TABLE deliveries (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	webhook BIGINT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
	event TEXT NOT NULL,
	body TEXT NOT NULL,
	created BIGINT NOT NULL,
	due BIGINT NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	done BIGINT NOT NULL DEFAULT 0,
	status INTEGER NOT NULL DEFAULT 0,
	problem TEXT NOT NULL DEFAULT ''
);
CREATE INDEX deliveries_due ON deliveries (webhook, due) WHERE done = 0;
CREATE INDEX deliveries_done ON deliveries (done) WHERE done <> 0;
CREATE INDEX deliveries_webhook ON deliveries (webhook, id);
