package rehearse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// onBoth runs a test on each file system, with a board whose files are those of tree.
func onBoth(t *testing.T, tree map[string]string, test func(t *testing.T, b *Board)) {
	t.Helper()
	for _, system := range []FileSystem{Littlefs, FAT} {
		t.Run(string(system), func(t *testing.T) {
			t.Parallel()
			b := &Board{Image: filepath.Join(t.TempDir(), "board.img"), FS: system, Size: 256 << 10}
			if err := b.Format(t.Context(), files(tree)); err != nil {
				t.Fatal(err)
			}
			test(t, b)
		})
	}
}

func files(tree map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, content := range tree {
		m[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

func boot(t *testing.T, b *Board) Result {
	t.Helper()
	r, err := b.Boot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func checkBoot(t *testing.T, b *Board, ending Ending, output string) Result {
	t.Helper()
	r := boot(t, b)
	if r.Ending != ending {
		t.Errorf("the boot ended %v, want %v", r.Ending, ending)
	}
	if diff := cmp.Diff(output, r.Output); diff != "" {
		t.Errorf("console (-want +got):\n%s", diff)
	}
	return r
}

func TestBootAsFirmwareDoes(t *testing.T) {
	onBoth(t, map[string]string{
		"boot.py":       "print(__name__, sorted(globals()))\nshared = 1",
		"main.py":       "import os, sys, lib_module\nprint(__name__, shared, os.getcwd(), sys.path, sys.argv, __import__('__main__').shared)\nprint(lib_module.__file__)",
		"lib/unused":    "",
		"lib_module.py": "",
	}, func(t *testing.T, b *Board) {
		r := checkBoot(t, b, AtREPL, "__main__ ['__name__']\n__main__ 1 / ['', '.frozen', '/lib'] [] 1\nlib_module.py\n")
		if r.ExitCode != 0 || r.Raised != "" || r.Armed != nil || r.Reset() {
			t.Errorf("an uneventful boot gave %+v", r)
		}
	})
}

func TestBootRaises(t *testing.T) {
	onBoth(t, map[string]string{
		"boot.py": "def f():\n    1 / 0\nf()",
		"main.py": "print('main runs')",
	}, func(t *testing.T, b *Board) {
		r := boot(t, b)
		if r.Ending != AtREPL || r.Raised != "boot.py" {
			t.Errorf("ended %v, raised %q; want at the REPL, boot.py", r.Ending, r.Raised)
		}
		if !strings.Contains(r.Output, `File "boot.py", line 2, in f`) || !strings.Contains(r.Output, "ZeroDivisionError") {
			t.Errorf("the console lacks the traceback:\n%s", r.Output)
		}
		if strings.Contains(r.Output, "main runs") {
			t.Error("main.py ran although boot.py raised")
		}
	})
}

func TestMainRaises(t *testing.T) {
	onBoth(t, map[string]string{"main.py": "import nothing"}, func(t *testing.T, b *Board) {
		r := boot(t, b)
		if r.Ending != AtREPL || r.Raised != "main.py" || !strings.Contains(r.Output, "ImportError: no module named 'nothing'") {
			t.Errorf("ended %v, raised %q, printed:\n%s", r.Ending, r.Raised, r.Output)
		}
	})
}

// A reset is the end at once: neither except nor finally sees it, and what a file that is
// still open had in its buffer is lost.
func TestResetCannotBeCaught(t *testing.T) {
	onBoth(t, map[string]string{
		"boot.py": `
import machine
def deep():
    try:
        try:
            f = open("open.txt", "w")
            f.write("lost")
            machine.reset()
        except:
            print("caught")
        finally:
            print("finally")
    except BaseException:
        print("caught again")
deep()
`,
		"main.py": "print('main runs')",
	}, func(t *testing.T, b *Board) {
		r := checkBoot(t, b, Reset, "")
		if r.ExitCode != 3 || !r.Reset() {
			t.Errorf("exit code %d, Reset() = %t", r.ExitCode, r.Reset())
		}
		data, err := b.ReadFile(t.Context(), "open.txt")
		if len(data) != 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file that was never closed holds %q, %v", data, err)
		}
	})
}

func TestSoftReset(t *testing.T) {
	for _, statement := range []string{"import machine\nmachine.soft_reset()", "import sys\nsys.exit()"} {
		onBoth(t, map[string]string{
			"boot.py": strings.Replace(statement, "\n", "\ntry:\n    ", 1) + "\nexcept Exception:\n    print('caught')",
			"main.py": "print('main runs')",
		}, func(t *testing.T, b *Board) { checkBoot(t, b, SoftReset, "") })
	}
}

func TestRunGoesThroughResets(t *testing.T) {
	onBoth(t, map[string]string{"main.py": `
import machine
try:
    with open("boots.txt") as f:
        boots = int(f.read())
except OSError:
    boots = 0
with open("boots.txt", "w") as f:
    f.write(str(boots + 1))
print("boot", boots, "cause", machine.reset_cause())
if boots == 0:
    machine.reset()
if boots == 1:
    machine.WDT(timeout=10)
    while True:
        pass
if boots == 2:
    machine.soft_reset()
`}, func(t *testing.T, b *Board) {
		results, err := b.Run(t.Context(), 2)
		if err != nil || len(results) != 2 || !results[1].Reset() {
			t.Fatalf("2 boots at most gave %+v, %v", results, err)
		}
		more, err := b.Run(t.Context(), 9)
		if err != nil {
			t.Fatal(err)
		}
		var endings []Ending
		var output string
		for _, r := range append(results, more...) {
			endings = append(endings, r.Ending)
			output += r.Output
		}
		if diff := cmp.Diff([]Ending{Reset, Watchdog, SoftReset, AtREPL}, endings); diff != "" {
			t.Errorf("endings (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff("boot 0 cause 1\nboot 1 cause 2\nboot 2 cause 1\nboot 3 cause 5\n", output); diff != "" {
			t.Errorf("consoles (-want +got):\n%s", diff)
		}
	})
}

// A timer fires while main.py runs, sleeps or waits, in the main thread, and may reset.
func TestTimerInterruptsMain(t *testing.T) {
	for _, hang := range []string{"while True: pass", "import time; time.sleep(3600)", "import time; time.sleep_ms(3600000)"} {
		onBoth(t, map[string]string{"main.py": `
import machine
def late(timer):
    print("due")
    try:
        machine.reset()
    except:
        print("caught")
t = machine.Timer(0)
t.init(mode=machine.Timer.ONE_SHOT, period=20, callback=late)
try:
    ` + hang + `
except:
    print("caught")
`}, func(t *testing.T, b *Board) { checkBoot(t, b, Reset, "due\n") })
	}
}

func TestTimerPeriodicAndDeinit(t *testing.T) {
	onBoth(t, map[string]string{"main.py": `
from machine import Timer
import time
count = 0
def tick(timer):
    global count
    count += 1
    if count == 3:
        timer.deinit()
t = Timer(-1, mode=Timer.PERIODIC, freq=100, callback=tick)
never = Timer(period=20, callback=lambda t: print("never"))
never.deinit()
late = Timer(period=60000, callback=lambda t: print("late"))
while count < 3:
    time.sleep_ms(1)
print("ticked 3 times")
`}, func(t *testing.T, b *Board) {
		r := checkBoot(t, b, AtREPL, "ticked 3 times\n")
		if diff := cmp.Diff([]Armed{{Period: time.Minute}}, r.Armed); diff != "" {
			t.Errorf("armed at the REPL (-want +got):\n%s", diff)
		}
	})
}

// At the REPL time jumps to whatever is due first.
func TestTimersAtTheREPL(t *testing.T) {
	onBoth(t, map[string]string{"main.py": `
from machine import Timer, WDT, reset
dog = WDT(timeout=3600000)
Timer(1, mode=Timer.ONE_SHOT, period=600000, callback=lambda t: reset())
Timer(2, mode=Timer.PERIODIC, period=200000, callback=lambda t: print("tick"))
raise ValueError
`}, func(t *testing.T, b *Board) {
		b.REPL = 9 * time.Minute
		r := boot(t, b)
		if r.Ending != AtREPL || !strings.HasSuffix(r.Output, "ValueError: \ntick\ntick\n") {
			t.Errorf("after 9 minutes: %v\n%s", r.Ending, r.Output)
		}
		want := []Armed{{true, time.Hour}, {false, 10 * time.Minute}, {false, 200 * time.Second}}
		if diff := cmp.Diff(want, r.Armed); diff != "" {
			t.Errorf("armed (-want +got):\n%s", diff)
		}
		b.REPL = 11 * time.Minute
		if r := boot(t, b); r.Ending != Reset {
			t.Errorf("after 11 minutes: %v, want a reset by the timer", r.Ending)
		}
		if err := b.WriteFile(t.Context(), "main.py", []byte("import machine\nmachine.WDT(timeout=5000)")); err != nil {
			t.Fatal(err)
		}
		b.REPL = time.Minute
		if r := boot(t, b); r.Ending != Watchdog {
			t.Errorf("with a watchdog: %v, want its reset", r.Ending)
		}
	})
}

func TestFedWatchdogIsQuiet(t *testing.T) {
	onBoth(t, map[string]string{"main.py": `
import machine, time
dog = machine.WDT(timeout=2000)
for _ in range(30):
    dog.feed()
    time.sleep_ms(1)
print("alive")
`}, func(t *testing.T, b *Board) {
		r := checkBoot(t, b, AtREPL, "alive\n")
		if len(r.Armed) != 1 || !r.Armed[0].Watchdog {
			t.Errorf("armed: %v, want the watchdog", r.Armed)
		}
	})
}

func TestMachine(t *testing.T) {
	onBoth(t, map[string]string{"main.py": `
import machine
from machine import Timer, WDT, Signal, reset, soft_reset, unique_id
print(machine.unique_id(), machine.reset_cause() == machine.PWRON_RESET, machine.freq() > 0)
print(hasattr(machine, "no_such_thing"), Timer is machine.Timer)
`}, func(t *testing.T, b *Board) {
		b.ID = "00ff10"
		checkBoot(t, b, AtREPL, "b'\\x00\\xff\\x10' True True\nFalse True\n")
	})
}

func TestSwitchOff(t *testing.T) {
	onBoth(t, map[string]string{"main.py": "import time\nprint('one')\nprint('two')\ntime.sleep(3600)"}, func(t *testing.T, b *Board) {
		var seen []string
		b.SwitchOff = func(line string) bool {
			seen = append(seen, line)
			return line == "two"
		}
		var console bytes.Buffer
		b.Console = &console
		checkBoot(t, b, Off, "one\ntwo\n")
		if console.String() != "one\ntwo\n" || len(seen) != 2 {
			t.Errorf("the console got %q, SwitchOff %q", console.String(), seen)
		}
	})
}

func TestContextSwitchesOff(t *testing.T) {
	onBoth(t, map[string]string{"main.py": "print('up')\nwhile True: pass"}, func(t *testing.T, b *Board) {
		ctx, cancel := context.WithCancel(t.Context())
		b.SwitchOff = func(string) bool { cancel(); return false }
		r, err := b.Boot(ctx)
		if !errors.Is(err, context.Canceled) || r.Ending != Off || r.Output != "up\n" {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

func TestHeap(t *testing.T) {
	onBoth(t, map[string]string{"main.py": "import gc\ngc.collect()\nprint(gc.mem_alloc() + gc.mem_free())"}, func(t *testing.T, b *Board) {
		b.Heap = "48K"
		r := boot(t, b)
		var total int
		for _, c := range strings.TrimSpace(r.Output) {
			total = total*10 + int(c-'0')
		}
		if total < 46<<10 || total > 48<<10 {
			t.Errorf("the heap is %d bytes, want close to 48 kB", total)
		}
		// 1 kB of it is the interpreter's own.
		if r.Heap.Sim < 1 || r.Heap.Sim > 8<<10 {
			t.Errorf("the simulation takes %d bytes of heap, want at most 8 kB", r.Heap.Sim)
		}
		if r.Heap.FileSystem < 1 || r.Heap.FileSystem > 5<<10 || r.Heap.Free < 35<<10 {
			t.Errorf("heap: %+v", r.Heap)
		}
		if err := b.WriteFile(t.Context(), "main.py", []byte("x = bytearray(60000)")); err != nil {
			t.Fatal(err)
		}
		if r := boot(t, b); r.Raised != "main.py" || !strings.Contains(r.Output, "MemoryError") {
			t.Errorf("60 kB of a 48 kB heap: %v\n%s", r.Ending, r.Output)
		}
	})
}

// Reading and writing files takes no heap in the simulation, so that what a test measures is
// the program's.
func TestBlockDeviceAllocatesNothing(t *testing.T) {
	onBoth(t, map[string]string{"main.py": `
import gc
buffer = bytearray(512)
def work(n):
    with open("file", "wb") as f:
        for _ in range(n):
            f.write(buffer)
    with open("file", "rb") as f:
        while f.readinto(buffer):
            pass
def grown(n):
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    work(n)
    after = gc.mem_alloc()
    gc.enable()
    return after - before
print(grown(40) == grown(4))
`}, func(t *testing.T, b *Board) {
		b.Log = filepath.Join(t.TempDir(), "log")
		checkBoot(t, b, AtREPL, "True\n")
	})
}

func TestReadOnly(t *testing.T) {
	onBoth(t, map[string]string{"main.py": "try:\n    open('new', 'w').close()\nexcept OSError as e:\n    print(e.errno)"}, func(t *testing.T, b *Board) {
		b.ReadOnly = true
		before, err := os.ReadFile(b.Image)
		if err != nil {
			t.Fatal(err)
		}
		r := boot(t, b)
		// EROFS on littlefs; FAT says EPERM.
		if r.Output != "30\n" && r.Output != "1\n" {
			t.Errorf("writing to a read-only board printed %q", r.Output)
		}
		after, err := os.ReadFile(b.Image)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before, after) {
			t.Error("the image of a read-only board changed")
		}
	})
}

func TestFull(t *testing.T) {
	onBoth(t, map[string]string{"main.py": "try:\n    with open('big', 'wb') as f:\n        for _ in range(999):\n            f.write(bytes(1024))\nexcept OSError as e:\n    print(e.errno)"}, func(t *testing.T, b *Board) {
		checkBoot(t, b, AtREPL, "28\n")
	})
}

func TestFormatDumpReadWrite(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 2000)
	tree := map[string]string{
		"boot.py":             "",
		"app/__init__.py":     "x = 1\n",
		"app/deep/er/a b.raw": big,
		"naïve.txt":           "ünï",
	}
	onBoth(t, tree, func(t *testing.T, b *Board) {
		ctx := t.Context()
		checkTree := func(want map[string]string, dirs ...string) {
			t.Helper()
			got, err := b.Dump(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(treeOf(want, dirs...), got); diff != "" {
				t.Errorf("dump (-want +got):\n%s", diff)
			}
		}
		checkTree(tree, "app", "app/deep", "app/deep/er")

		if err := b.WriteFile(ctx, "app/new/one.txt", []byte("new\r\n\x00")); err != nil {
			t.Fatal(err)
		}
		if err := b.WriteFile(ctx, "boot.py", []byte("pass")); err != nil {
			t.Fatal(err)
		}
		if err := b.Remove(ctx, "naïve.txt"); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"boot.py":             "pass",
			"app/__init__.py":     "x = 1\n",
			"app/deep/er/a b.raw": big,
			"app/new/one.txt":     "new\r\n\x00",
		}
		checkTree(want, "app", "app/deep", "app/deep/er", "app/new")
		for name, content := range want {
			if got, err := b.ReadFile(ctx, name); err != nil || string(got) != content {
				t.Errorf("ReadFile(%q) = %d bytes, %v; want %d bytes", name, len(got), err, len(content))
			}
		}
		if _, err := b.ReadFile(ctx, "absent"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("reading a file that isn't there: %v", err)
		}
		if err := b.Remove(ctx, "absent"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("removing a file that isn't there: %v", err)
		}
		if err := b.WriteFile(ctx, "big", make([]byte, 1<<20)); err == nil || !strings.Contains(err.Error(), "ENOSPC") {
			t.Errorf("writing more than fits: %v", err)
		}
	})
}

func treeOf(files map[string]string, dirs ...string) *Tree {
	tree := &Tree{Files: map[string]File{}, Dirs: dirs, Broken: map[string]string{}}
	for name, content := range files {
		sum := sha256.Sum256([]byte(content))
		tree.Files[name] = File{len(content), hex.EncodeToString(sum[:])}
	}
	return tree
}

func TestFormatPutsLaterTreesOver(t *testing.T) {
	b := &Board{Image: filepath.Join(t.TempDir(), "board.img"), Size: 128 << 10}
	err := b.Format(t.Context(), files(map[string]string{"a": "1", "lib/b": "1"}), files(map[string]string{"a": "2", "lib/c": "2"}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Dump(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := treeOf(map[string]string{"a": "2", "lib/b": "1", "lib/c": "2"}, "lib")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dump (-want +got):\n%s", diff)
	}
}

func TestFormatKeepsTheOldImageWhereItFails(t *testing.T) {
	onBoth(t, map[string]string{"old": "1"}, func(t *testing.T, b *Board) {
		err := b.Format(t.Context(), files(map[string]string{"huge": strings.Repeat("x", 1<<20)}))
		if err == nil || !strings.Contains(err.Error(), "ENOSPC") {
			t.Errorf("a tree that doesn't fit: %v", err)
		}
		if got, err := b.ReadFile(t.Context(), "old"); err != nil || string(got) != "1" {
			t.Errorf("the old image has %q, %v", got, err)
		}
		left, err := os.ReadDir(filepath.Dir(b.Image))
		if err != nil || len(left) != 1 {
			t.Errorf("left in the folder: %v, %v", left, err)
		}
	})
}

func TestBadBoards(t *testing.T) {
	dir := t.TempDir()
	notAnImage := filepath.Join(dir, "zeros")
	if err := os.WriteFile(notAnImage, make([]byte, 64<<10), 0o666); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		board Board
		want  string
	}{
		"no image":         {Board{}, "no image"},
		"not there":        {Board{Image: filepath.Join(dir, "absent")}, "ENOENT"},
		"not formatted":    {Board{Image: notAnImage}, "OSError"},
		"file system":      {Board{Image: notAnImage, FS: "ext4"}, `unknown file system "ext4"`},
		"block size":       {Board{Image: notAnImage, BlockSize: 100}, "block size 100"},
		"size":             {Board{Image: notAnImage, Size: 5000}, "size 5000"},
		"heap":             {Board{Image: notAnImage, Heap: "1K"}, "status"},
		"heap not a size":  {Board{Image: notAnImage, Heap: "lots"}, "status"},
		"log in no folder": {Board{Image: notAnImage, Log: filepath.Join(dir, "absent", "log")}, "ENOENT"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r, err := c.board.Boot(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Boot: %+v, %v; want an error with %q", r, err, c.want)
			}
		})
	}
}
