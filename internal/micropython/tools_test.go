package micropython

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// scripts/tools where the PATH has good tools: it links them, fetches nothing, and says
// nothing when run again.
func TestToolsScript(t *testing.T) {
	s := newToolsScript(t)
	if out := s.run(t); !strings.Contains(out, "MicroPython 1.") || !strings.Contains(out, "mpy-cross: ") {
		t.Errorf("the first run said:\n%s", out)
	}
	for _, name := range []string{"micropython", "mpy-cross"} {
		if got := same(t, filepath.Join(s.tools, "bin", name)); got != same(t, filepath.Join(s.path, name)) {
			t.Errorf("%s is a link to %s, not to the one on the PATH", name, got)
		}
	}
	if out := s.run(t); out != "" {
		t.Errorf("the second run said:\n%s", out)
	}
	// A link whose target is gone is made anew.
	if err := os.Remove(filepath.Join(s.tools, "bin", "mpy-cross")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere/mpy-cross", filepath.Join(s.tools, "bin", "mpy-cross")); err != nil {
		t.Fatal(err)
	}
	if out := s.run(t); strings.Contains(out, "MicroPython") || !strings.Contains(out, "mpy-cross: ") {
		t.Errorf("with mpy-cross gone, it said:\n%s", out)
	}
	s.checkClean(t)
}

func TestToolsScriptTwiceAtOnce(t *testing.T) {
	s := newToolsScript(t)
	var group sync.WaitGroup
	outs := make([]string, 4)
	for i := range outs {
		group.Go(func() { outs[i] = s.run(t) })
	}
	group.Wait()
	if n := strings.Count(strings.Join(outs, ""), "MicroPython 1."); n != 1 {
		t.Errorf("%d of 4 made the link:\n%s", n, strings.Join(outs, "---\n"))
	}
	s.checkClean(t)
}

// A lock whose owner was killed stops nobody.
func TestToolsScriptStaleLock(t *testing.T) {
	s := newToolsScript(t)
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(s.tools, "lock")
	write(t, filepath.Join(lock, "pid"), strconv.Itoa(gone.Process.Pid)+"\n", 0o666)
	if out := s.run(t); !strings.Contains(out, "MicroPython 1.") {
		t.Errorf("with a stale lock, it said:\n%s", out)
	}
	s.checkClean(t)
}

// Its own folder on the PATH is no place to link to.
func TestToolsScriptOwnFolderOnPath(t *testing.T) {
	s := newToolsScript(t)
	s.run(t)
	s.path = filepath.Join(s.tools, "bin") + ":" + s.path
	if err := os.Remove(filepath.Join(s.tools, "bin", "mpy-cross")); err != nil {
		t.Fatal(err)
	}
	s.run(t)
	if target, err := os.Readlink(filepath.Join(s.tools, "bin", "mpy-cross")); err != nil || strings.HasPrefix(target, s.tools) {
		t.Errorf("mpy-cross links to %s, %v", target, err)
	}
}

type toolsScript struct {
	tools string // SAGUAROTA_TOOLS
	path  string // the part of the PATH before the system's
}

func newToolsScript(t *testing.T) *toolsScript {
	t.Helper()
	in, err := Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cross, err := FindCross(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &toolsScript{tools: filepath.Join(t.TempDir(), "tools"), path: t.TempDir()}
	for name, path := range map[string]string{"micropython": in.Path, "mpy-cross": cross.Path} {
		if err := os.Symlink(same(t, path), filepath.Join(s.path, name)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *toolsScript) run(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "../../scripts/tools")
	cmd.Env = append(os.Environ(), "SAGUAROTA_TOOLS="+s.tools, "PATH="+s.path+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("scripts/tools: %v\n%s", err, out)
	}
	return string(out)
}

// checkClean checks that nothing but the tools is left.
func (s *toolsScript) checkClean(t *testing.T) {
	t.Helper()
	for dir, want := range map[string]string{s.tools: "bin", filepath.Join(s.tools, "bin"): "micropython mpy-cross"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s holds %q, want %q", dir, got, want)
		}
	}
}
