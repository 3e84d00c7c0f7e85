package boardtest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
)

// What a start with nothing to do may cost: the library's modules, from .mpy, in bytes of a 64-bit
// heap, at most three small files read, no write, and nothing asked of the network.
func TestTrialIdle(t *testing.T) {
	const most, reads = 8 << 10, 3
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs})
		r.site.publish(200, release2)
		r.updates(release2)
		r.write("boot.py", "")
		r.write("main.py", `import builtins, gc, sys
opened = []
def counting(path, *mode, real=builtins.open):
    opened.append(path)
    return real(path, *mode)
builtins.open = counting
class Socket:
    def __getattr__(self, name):
        opened.append("socket." + name)
sys.modules["socket"] = Socket()
gc.collect()
before = gc.mem_alloc()
from saguarota import OTAUpdater
ota = OTAUpdater("http://updates/ota/versions.json", "http://updates/ota/")
gc.collect()
heap = gc.mem_alloc() - before
print("idle", ota.confirm_update(), heap, *opened)
`)
		r.board.Log = filepath.Join(t.TempDir(), "log")
		said := r.bootTo(rehearse.AtREPL).Output
		_, text, _ := strings.Cut(said, "idle False ")
		var heap int
		if _, err := fmt.Sscan(text, &heap); err != nil {
			t.Fatalf("the board said %q", said)
		}
		if heap > most {
			t.Errorf("the library takes %d B of heap, want at most %d", heap, most)
		}
		if opened := strings.Fields(text)[1:]; len(opened) > reads || strings.Contains(text, "socket.") {
			t.Errorf("the board used %q, want at most %d files", opened, reads)
		}
		if writes, err := rehearse.ReadLog(r.board.Log); err != nil || len(writes) > 0 {
			t.Errorf("the board wrote %d times to its flash: %v", len(writes), err)
		}
	})
}
