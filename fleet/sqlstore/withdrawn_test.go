package sqlstore

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/internal/postgrestest"
	"github.com/cactuscon/saguarota/fleet/storetest"
)

// A rollout that runs although its release is withdrawn, as older servers have left it,
// takes no step; and where that is taken back, its step begins anew.
func TestWithdrawnByAnOlderServer(t *testing.T) {
	ctx := t.Context()
	for name, where := range map[string]string{"SQLite": filepath.Join(t.TempDir(), "fleet.db"), "PostgreSQL": postgrestest.New(t)} {
		s, err := Open(ctx, where)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(name, err)
			}
		}
		start := storetest.NewRelease(t, "badge", 2).Published
		at := func(hours float64) fleet.Actor {
			return fleet.Actor{Name: "ada", At: start.Add(time.Duration(hours * float64(time.Hour)))}
		}
		must(s.AddApp(ctx, at(0), storetest.NewApp("badge")))
		must(s.AddRelease(ctx, at(0), storetest.NewRelease(t, "badge", 2), nil))
		r, err := s.StartRollout(ctx, at(0), storetest.NewRollout("badge", func(r *fleet.Rollout) {
			r.Plan.Steps = []fleet.Step{{Share: 100, Every: time.Hour}, {Share: fleet.All, Every: time.Hour}}
		}))
		must(err)
		_, err = s.write.ExecContext(ctx, "UPDATE releases SET withdrawn = 1")
		must(err)
		for _, c := range []struct {
			hours float64
			undo  bool
			step  int
		}{{5, false, 0}, {8, true, 0}, {8.5, false, 0}, {9, false, 1}} {
			if c.undo {
				must(s.ChangeRelease(ctx, at(c.hours), "badge", 2, func(r *fleet.Release) error { r.Withdrawn = false; return nil }))
			}
			_, err := s.Advance(ctx, at(c.hours).At)
			must(err)
			got, err := s.Rollout(ctx, r.ID)
			must(err)
			if got.Step != c.step || got.State != fleet.Running {
				t.Errorf("%s, after %v hours: %s at step %d", name, c.hours, got.State, got.Step)
			}
		}
	}
}
