package sqlstore_test

import (
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/fleet/internal/postgrestest"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
)

// What is mistyped is not taken for a file's name, and no message has a password.
func TestWhere(t *testing.T) {
	t.Chdir(t.TempDir())
	for where, want := range map[string]string{ // "" where it cannot be a database
		"fleet.db":                                    "fleet.db",
		"./a:b.db":                                    "./a:b.db",
		"data/a=b.db":                                 "data/a=b.db",
		`C:\fleet\fleet.db`:                           `C:\fleet\fleet.db`,
		"postgres://u:hunter2@h/f":                    "postgres://u:xxxxx@h/f",
		"Postgres://u:hunter2@h/f":                    "postgres://u:xxxxx@h/f",
		"POSTGRESQL://u:hunter2@h/f":                  "postgresql://u:xxxxx@h/f",
		"postgres:///f?host=/run&user=u":              "postgres:///f?host=/run&user=u",
		"postgres:///f?host=/run&password=hunter2":    "postgres:///f?host=/run&password=xxxxx",
		"postgres:///f?Password=hunter2&host=/run":    "postgres:///f?Password=xxxxx&host=/run",
		"postgres:///f?p%61ssword=hunter2&host=/run":  "postgres:///f?p%61ssword=xxxxx&host=/run",
		"postgres:///f?host=/run&sslpassword=hunter2": "postgres:///f?host=/run&sslpassword=xxxxx",
		"postgres:///f?%zz=hunter2":                   "postgres:///f?%zz=xxxxx",
		"postgres://u:hunter2%zz@h/f":                 "postgres://…",
		"postgres://u:x#hunter2@h/f":                  "postgres://…",
		"mysql://u:hunter2@h/f":                       "",
		"https://u:hunter2@h/f":                       "",
		"sqlite:fleet.db":                             "",
		"file:fleet.db?_pragma=x":                     "",
		"postgres:/u:hunter2@h/f":                     "",
		"postgres:u:hunter2@h/f":                      "",
		"host=h dbname=f password=hunter2":            "",
		"dbname=f":                                    "",
		"PASSWORD = 'hun ter2' host=h":                "",
	} {
		err := sqlstore.CheckWhere(where)
		if want == "" {
			if !errors.Is(err, sqlstore.ErrWhere) || strings.Contains(err.Error(), "ter2") || strings.Contains(sqlstore.Redacted(where), "ter2") {
				t.Errorf("%s: %v, shown as %s", where, err, sqlstore.Redacted(where))
			}
			if s, err := sqlstore.Open(t.Context(), where); !errors.Is(err, sqlstore.ErrWhere) {
				t.Errorf("%s: opened: %v, %v", where, s, err)
			}
			continue
		}
		if got := sqlstore.Redacted(where); err != nil || got != want {
			t.Errorf("%s: %v, shown as %s", where, err, got)
		}
		if strings.Contains(where, "hunter2") {
			_, err := sqlstore.Open(t.Context(), strings.NewReplacer("@h/", "@127.0.0.1:1/", "host=/run", "host=/nowhere").Replace(where))
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s cannot be opened: %v", where, err)
			}
		}
	}
	for _, bad := range []string{"postgres://u@127.0.0.1:x/f?password=hunter2", "postgres:///f?sslmode=often&password=hunter2", "postgres://u:hunter2@127.0.0.1:1/f?sslmode=often"} {
		if _, err := sqlstore.Open(t.Context(), bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	left, err := os.ReadDir(".")
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The scheme is the same in capitals.
func TestSchemeInCapitals(t *testing.T) {
	u, err := url.Parse(postgrestest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	scheme, rest, _ := strings.Cut(u.String(), "://")
	open(t, strings.ToUpper(scheme)+"://"+rest)
}
