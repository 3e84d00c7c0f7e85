package sqlstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
	"github.com/cactuscon/saguarota/fleet/storetest"
)

// A backup that is made while boards are added has each of them whole or not, and all
// that were there before.
func TestBackup(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	where, name := filepath.Join(dir, "fleet.db"), filepath.Join(dir, "copy.db")
	s, err := sqlstore.Open(ctx, where)
	if err != nil {
		t.Fatal(err)
	}
	by := fleet.Actor{Name: "ada", At: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
	if err := s.AddApp(ctx, by, storetest.NewApp("badge")); err != nil {
		t.Fatal(err)
	}
	const before = 100
	for i := range before {
		if err := s.AddBoard(ctx, by, "badge", fmt.Sprintf("a%03d", i)); err != nil {
			t.Fatal(err)
		}
	}
	var writer sync.WaitGroup
	stop, one := make(chan struct{}), make(chan struct{})
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := s.AddBoard(ctx, by, "badge", fmt.Sprintf("b%06d", i)); err != nil {
				t.Error(err)
			}
			if i == 0 {
				close(one)
			}
		}
	})
	<-one
	err = sqlstore.Backup(ctx, where, name)
	close(stop)
	writer.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := sqlstore.Backup(ctx, where, name); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another backup: %v", err)
	}
	if err := sqlstore.Backup(ctx, filepath.Join(dir, "nowhere.db"), name+"2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	if list, err := filepath.Glob(name + "*"); err != nil || len(list) != 1 {
		t.Errorf("left: %v, %v", list, err)
	}
	if err := os.Remove(where); err != nil {
		t.Fatal(err)
	}

	restored, err := sqlstore.Open(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	boards, err := restored.Boards(ctx, "badge", fleet.Filter{}, "", 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	counts, err := restored.Count(ctx, "badge", fleet.ByChannel)
	if err != nil || len(boards) <= before || counts["stable"] != int64(len(boards)) {
		t.Errorf("%d boards, counted as %v, %v", len(boards), counts, err)
	}
	if err := restored.AddBoard(ctx, by, "badge", "c"); err != nil {
		t.Errorf("it cannot be written: %v", err)
	}
}
