package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// Bytes that no database takes for text are the caller's fault, wherever they are.
func TestBytesThatAreNoText(t *testing.T) {
	for name, newStore := range map[string]func(t *testing.T) *rig{
		"SQLite":     func(t *testing.T) *rig { return newRig(t) },
		"PostgreSQL": func(t *testing.T) *rig { r, _ := postgresRig(t); return r },
	} {
		t.Run(name, func(t *testing.T) {
			r := newStore(t)
			token := r.token("ada", fleet.ScopeAdmin)
			ask := func(method, path, body string, want func(status int) bool) {
				t.Helper()
				if a := r.call(strings.ToUpper(method), api.Path+path, token, body); !want(a.status) {
					t.Errorf("%s %s %s: %d %s", method, path, body, a.status, a.body)
				}
			}
			refused := func(status int) bool {
				return status == http.StatusBadRequest || status == http.StatusUnprocessableEntity
			}
			calls := 0
			for path, methods := range paths(t) {
				for method, call := range methods {
					for _, bad := range []string{"%00", "x%00y", "%ff", "x%c3", "%ed%a0%80"} {
						for name := range call.all(path) {
							calls++
							ask(method, call.fill(path, name, bad), "{}", refused)
						}
					}
				}
			}
			if calls < 100 {
				t.Errorf("only %d calls were made", calls)
			}
			// In JSON, it is the character zero. What is not UTF-8 becomes one that says so.
			for _, c := range []struct{ method, path, body string }{
				{"POST", "/apps", `{"name":"a\u0000","publicKeys":["` + r.key.PublicKey().String() + `"],"threshold":1,"keyset":1,"pollSeconds":60}`},
				{"POST", "/tokens", `{"name":"a\u0000","scope":"read"}`},
				{"POST", "/webhooks", `{"url":"https://example.com/\u0000"}`},
				{"POST", "/webhooks", `{"url":"https://example.com/","app":"a\u0000"}`},
				{"POST", "/apps/badge/boards/change", `{"ids":["a\u0000"],"pin":1}`},
				{"POST", "/apps/badge/boards/change", `{"ids":["\\\u0000"],"pin":1}`},
				{"POST", "/apps/badge/boards/delete", `{"ids":["a\u0000"]}`},
				{"POST", "/apps/badge/rollouts", `{"channel":"a\u0000","version":1,"plan":{}}`},
				{"POST", "/rollouts/1/pause", `{"reason":"a\u0000"}`},
			} {
				ask(c.method, c.path, c.body, func(status int) bool { return status >= 400 && status < 500 })
			}
			// Where the escape is itself escaped, it is none.
			ask("POST", "/apps/badge/boards/delete", `{"ids":["\\u0000"]}`, func(status int) bool { return status == http.StatusOK })
			if log := r.log.String(); strings.Contains(log, "ERROR") {
				t.Error(log)
			}
		})
	}
}

// a documented is a call of the OpenAPI document.
type documented struct {
	Parameters []struct {
		Name, In string
		Required bool
		Schema   struct{ Type string }
	}
}

func paths(t *testing.T) map[string]map[string]documented {
	t.Helper()
	var document struct {
		Paths map[string]map[string]documented
	}
	if err := json.Unmarshal(api.Document, &document); err != nil {
		t.Fatal(err)
	}
	return document.Paths
}

// all returns the names of what is in the call's URL.
func (d documented) all(path string) map[string]bool {
	names := map[string]bool{}
	for _, p := range d.Parameters {
		names[p.Name] = true
	}
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			names[strings.TrimSuffix(name, "}")] = true
		}
	}
	return names
}

// fill returns the path with the named part as it is given, and all that has to be there.
func (d documented) fill(path, name, value string) string {
	inPath := strings.Contains(path, "{"+name+"}")
	path = strings.ReplaceAll(path, "{"+name+"}", value)
	path = strings.NewReplacer("{app}", "badge", "{sum}", strings.Repeat("0", 64), "{version}", "1", "{channel}", "stable", "{attribute}", "state",
		"{id}", "1", "{action}", "pause", "{board}", "b1").Replace(path)
	query := "?"
	for _, p := range d.Parameters {
		switch {
		case p.In != "query" || p.Name == name:
		case p.Required:
			query += fmt.Sprintf("%s=%s&", p.Name, map[string]string{"integer": "1"}[p.Schema.Type])
		}
	}
	if !inPath {
		query += name + "=" + value
	}
	return path + query
}
