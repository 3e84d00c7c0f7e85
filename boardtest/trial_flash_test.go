package boardtest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cactuscon/saguarota/rehearse"
)

// Where files are copied, a flash that does not keep what was written to it is found out, and the
// old release put back: before the new one runs.
func TestTrialFlashForgets(t *testing.T) {
	const lie = `import builtins
lied = []
class Lying:
    # The file app.py, once: of what is written to it, the flash keeps something else.
    def __init__(self, f):
        self.f = f
    def __enter__(self):
        return self
    def __exit__(self, *_):
        self.f.close()
    def write(self, data):
        data = bytearray(data)
        data[0] ^= 1
        return self.f.write(data)
    def __getattr__(self, name):
        return getattr(self.f, name)
def lying(path, *mode, real=builtins.open):
    f = real(path, *mode)
    if path == "app.py" and mode and "w" in mode[0] and not lied:
        lied.append(path)
        return Lying(f)
    return f
builtins.open = lying
`
	r := newRig(t, setup{fs: rehearse.FAT, factory: release1.with(release{"boot.py": lie + bootPy})})
	before := r.live()
	r.site.publish(200, release2.with(release{"boot.py": lie + bootPy}))
	said := r.bootTo(rehearse.AtREPL).Output
	says(t, said, "error apply_failed", "read back wrong: app.py", "app one")
	saysNot(t, said, "OTA: installed")
	// The state folder was left behind as a damaged one is, too.
	got := r.live()
	for name := range got {
		if strings.HasPrefix(name, stateFolder+"1/") {
			delete(got, name)
		}
	}
	if diff := cmp.Diff(before, got); diff != "" {
		t.Errorf("the board's files differ from what they should be (-want +got):\n%s", diff)
	}
}
