package sqlstore

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/fleet"
)

// No list looks at boards that are not in it, and none is sorted: each is read off an
// index, from where it begins.
func TestBoardsAreReadOffAnIndex(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "fleet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	filters := map[string]fleet.Filter{
		"PRIMARY KEY (app=":                  {},
		"PRIMARY KEY (app=? AND id>":         {Prefix: "b"},
		"boards_hidden (app=":                {Hidden: true},
		"boards_stage (rollout=? AND stage=": {Rollout: 1, Stage: fleet.Undone},
		"tags USING PRIMARY KEY (app=? AND tag=": {
			By: fleet.ByTag, Value: "lab",
		},
	}
	for _, by := range fleet.Attributes {
		column := attributeColumns[by]
		if column != "" {
			filters["boards_"+column+" (app=? AND "+column+"="] = fleet.Filter{By: by, Value: "1"}
		}
	}
	for i, index := range []string{"boards_since", "boards_again"} {
		for _, since := range []string{"since <= $2", "since > $2"} {
			if plan := s.plan(t, s.lateQuery(lateBoards[i], since), 1, 2, 3); !strings.Contains(plan[0], index+" (rollout=? AND since") {
				t.Errorf("boards that time out:\n%s", plan)
			}
		}
	}
	for want, f := range filters {
		for _, after := range []string{"", "b5"} {
			text, args, err := s.boardsQuery(1, f, after, 10)
			if err != nil {
				t.Fatal(err)
			}
			plan := s.plan(t, text, args...)
			all := strings.Join(plan, "\n")
			if !strings.Contains(all, want) || strings.Contains(all, "TEMP B-TREE") || after != "" && !strings.Contains(plan[0], "id>") {
				t.Errorf("%+v after %q, want %s:\n%s", f, after, want, all)
			}
		}
	}
}

// plan returns how the database goes about a query.
func (s *Store) plan(t *testing.T, query string, args ...any) (plan []string) {
	t.Helper()
	err := rows(t.Context(), s.read, func(r *sql.Rows) error {
		var a, b, c int
		var line string
		err := r.Scan(&a, &b, &c, &line)
		plan = append(plan, line)
		return err
	}, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}
