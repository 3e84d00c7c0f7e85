package rehearse_test

import (
	"fmt"
	"testing"

	"github.com/cactuscon/saguarota/internal/releases"
	"github.com/cactuscon/saguarota/rehearse"
)

// Every other cut of updates that replace boot.py and main.py on FAT, where neither can be replaced in one
// write: whichever of the two releases has a boot.py that calls the updater.
func TestNoPowerCutHarmsStartFilesOnFAT(t *testing.T) {
	for _, calls := range [][2]bool{{true, true}, {true, false}, {false, true}, {false, false}} {
		t.Run(fmt.Sprintf("boot.py calls %v", calls), func(t *testing.T) {
			pair := releases.Start(calls)
			r := rehearsal(t, pair, rehearse.FAT)
			r.Every, r.Torn, r.KeepConsoles = 2, true, true
			report := play(t, r)
			harmless(t, report, calls[0] && calls[1])
		})
	}
}
