package sqlstore_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/internal/postgrestest"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
	"github.com/cactuscon/saguarota/fleet/storetest"
)

var ada = fleet.Actor{Name: "ada", At: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}

// Not even who has the database's password changes the log by a slip.
func TestAuditLogStays(t *testing.T) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			where := database(t)
			s := open(t, where)
			if err := s.AddApp(t.Context(), ada, storetest.NewApp("badge")); err != nil {
				t.Fatal(err)
			}
			driver := "sqlite"
			if sqlstore.IsPostgres(where) {
				driver = "pgx"
			}
			db, err := sql.Open(driver, where)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, statement := range []string{"DELETE FROM audit", "UPDATE audit SET actor = 'eve'"} {
				if _, err := db.ExecContext(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "the audit log cannot be changed") {
					t.Errorf("%s: %v", statement, err)
				}
			}
		})
	}
}

// PostgreSQL goes down with everything in memory, and comes back.
func TestDatabaseGoneAndBack(t *testing.T) {
	server, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	s := open(t, server.URL("postgres"))
	ctx := t.Context()
	if err := s.AddApp(ctx, ada, storetest.NewApp("badge")); err != nil {
		t.Fatal(err)
	}
	board := func(id string) fleet.CheckIn {
		return fleet.CheckIn{App: "badge", New: true, Board: fleet.Board{ID: id, FirstSeen: ada.At, LastSeen: ada.At, Report: fleet.Report{ID: id}}}
	}
	if err := s.CheckIn(ctx, board("before")); err != nil {
		t.Fatal(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	later := ada.At.Add(time.Hour)
	s.Seen("badge", "before", later, 7)
	if err := s.FlushSeen(ctx); err == nil {
		t.Error("what is seen is written without a database")
	}
	if err := s.CheckIn(ctx, board("between")); err == nil {
		t.Error("a check-in succeeds without a database")
	}
	if err := s.Ping(ctx); err == nil {
		t.Error("a database that is gone answers")
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckIn(ctx, board("after")); err != nil {
		t.Error(err)
	}
	if err := s.FlushSeen(ctx); err != nil {
		t.Error(err)
	}
	b, err := s.Board(ctx, "badge", "before")
	if err != nil || !b.LastSeen.Equal(later) {
		t.Errorf("what was seen meanwhile: %+v, %v", b, err)
	}
	if list, err := s.Boards(ctx, "badge", fleet.Filter{}, "", 9); err != nil || len(list) != 2 {
		t.Errorf("there are %d boards, %v", len(list), err)
	}
}

func TestSQLiteFileIsPrivate(t *testing.T) {
	// Blanks and the like in a path are no part of a URL.
	path := filepath.Join(t.TempDir(), "a b?c%20#d.db")
	if runtime.GOOS == "windows" {
		path = filepath.Join(t.TempDir(), "a b%20#d.db")
	}
	open(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
}

func TestOpenErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "nope", "fleet.db")
	for where, want := range map[string]string{
		missing: missing,
		"postgres://ada:secret@127.0.0.1:1/fleet?connect_timeout=5": "ada:xxxxx@127.0.0.1:1",
		"postgres://ada:secret%zz@127.0.0.1:1/fleet":                "postgres://…",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		s, err := sqlstore.Open(ctx, where)
		cancel()
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: no error", where)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", where, err, want)
		}
	}
}
