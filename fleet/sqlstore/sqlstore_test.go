package sqlstore_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/internal/postgrestest"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
	"github.com/cactuscon/saguarota/fleet/storetest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// databases make empty databases of either kind and return where they are.
var databases = map[string]func(t *testing.T) string{
	"SQLite":     func(t *testing.T) string { return filepath.Join(t.TempDir(), "fleet.db") },
	"PostgreSQL": func(t *testing.T) string { return postgrestest.New(t) },
}

// open opens a database until the test ends.
func open(t *testing.T, where string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(context.Background(), where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) func(t *testing.T) fleet.Store {
				where := database(t)
				return func(t *testing.T) fleet.Store { return open(t, where) }
			})
		})
	}
}
