package rehearse_test

import (
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/internal/releases"
	"github.com/cactuscon/saguarota/rehearse"
)

// Cuts of an update on FAT where boot.py imports a module of the release before it calls the updater, and
// main.py leaves that to boot.py: then nobody else could repair a boot.py that was being written.
func TestNoPowerCutHarmsABootThatImportsFirst(t *testing.T) {
	pair := releases.App()
	pair.Name = "boot.py that imports first"
	for _, tree := range []map[string]string{pair.Old, pair.New} {
		tree["boot.py"] = "import app.same\n" + strings.Replace(releases.Boot(1), "OTAUpdater(\n", "ota = OTAUpdater(\n", 1)
		tree["boot.py"] = strings.Replace(tree["boot.py"], ").check", ")\nota.check", 1)
		tree["main.py"] = "ota.confirm_update(cleanup=True)\n"
	}
	r := rehearsal(t, pair, rehearse.FAT)
	r.Torn, r.Every, r.KeepConsoles = true, 2, true
	harmless(t, play(t, r), true)
}
