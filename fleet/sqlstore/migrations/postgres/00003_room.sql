-- +goose Up

-- A row that is changed is written anew. Where its page has room for that, no index has to be
-- told; and each poll changes a row.
ALTER TABLE boards SET (fillfactor = 50);
