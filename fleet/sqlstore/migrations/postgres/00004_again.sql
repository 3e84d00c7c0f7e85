-- +goose Up

-- again: it failed or timed out, and is offered the release again. told: the stages, as bits, that
-- people were told of.
ALTER TABLE boards ADD COLUMN again SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE boards ADD COLUMN told SMALLINT NOT NULL DEFAULT 0;
CREATE INDEX boards_again ON boards (rollout, since) WHERE again = 1;

ALTER TABLE rollouts ADD COLUMN again BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rollouts ADD COLUMN forgiven_at BIGINT NOT NULL DEFAULT 0;
