// Package rehearse plays a board on the host: real MicroPython, on a real littlefs2 or FAT in
// an image file of its flash, with a stand-in for the machine module.
//
// A boot is one process and one power cycle. It mounts the image at "/", runs boot.py and,
// unless that raised, main.py, both in __main__ as the firmware does, and ends when the board
// resets, sits at the REPL, or is switched off. What the next boot finds is what the blocks of
// the image hold, nothing else: a reset closes no file and runs no `finally`.
//
//	board := &rehearse.Board{Image: "board.img"}
//	err := board.Format(ctx, os.DirFS("factory"))
//	results, err := board.Run(ctx, 5)
//	tree, err := board.Dump(ctx)
//
// Every write of a boot can be logged (Board.Log) and any prefix of the writes replayed onto
// a copy of the image (Replay): what a power cut at that moment leaves.
package rehearse

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cactuscon/saguarota/internal/micropython"
)

//go:embed sim/*.py
var sim embed.FS

// FileSystem is what a board keeps its files on.
type FileSystem string

const (
	Littlefs FileSystem = "littlefs" // littlefs2, what ESP32 and RP2 builds use
	FAT      FileSystem = "fat"      // FAT12, 16 or 32, by size
)

// What the MicroPython ports use where the board doesn't say otherwise.
const (
	defaultSize          = 2 << 20
	littlefsBlockSize    = 4096
	fatBlockSize         = 512
	defaultID            = "5a6a0001"
	exitREPL             = 0
	exitReset            = 3
	exitSoftReset        = 4
	exitOff              = 5
	resetCausePowerOn    = 1
	resetCauseHard       = 2
	resetCauseWatchdog   = 3
	resetCauseSoft       = 5
	programToStart       = "import micropython; micropython.opt_level(3); import board; micropython.opt_level(0); board.run(globals())"
	waitForOutputOfAKill = 30 * time.Second // a busy machine may take some seconds to hand it over
	maxComputing         = 20 * time.Second
)

// Board is a simulated board. The zero value of every field but Image is usable. Methods must
// not be called at once for one Image.
type Board struct {
	// Image is the path of the file that holds the flash. Format makes it.
	Image string
	// FS is the file system, Littlefs if empty.
	FS FileSystem
	// BlockSize in bytes: 4096 on littlefs and 512 on FAT, if 0.
	BlockSize int
	// Size of the flash in bytes, a multiple of BlockSize: 2 MiB if 0. Only Format reads it.
	Size int
	// Heap is the size of the garbage-collected heap, as in "96K"; empty for the
	// interpreter's own (1 to 2 MB). Of it, the simulation takes some 8 kB (see
	// Result.Heap).
	Heap string
	// ID is what machine.unique_id() returns, in hexadecimal; "5a6a0001" if empty.
	ID string
	// ReadOnly mounts the file system read-only.
	ReadOnly bool
	// REPL is how long the board sits at the REPL before Boot returns. Only timers and
	// watchdogs act then, so the time isn't waited for but jumped over.
	REPL time.Duration
	// Log, if set, is the path of a file to which every write and erase is appended.
	Log string
	// Console, if set, gets the board's console output as it is printed.
	Console io.Writer
	// SwitchOff, if set, is asked after every line of the console, which comes without its
	// newline; the board is switched off when it returns true. It may print more before it
	// is.
	SwitchOff func(line string) bool
	// Network, if set, is all the network that the board has.
	Network *Network
	// Judge, if set, is the path of a file with a path of the board a line: each time main.py
	// starts, the tree that these files make is told (Result.Tree).
	Judge string
	// Settle, if set with Judge, is how long main.py may run before the board is switched off.
	Settle time.Duration
	// Devices, to be set with Judge and Settle, gives the board stand-ins for hardware, and a
	// clock that does not wait: Settle is in the time of that clock, and main.py may compute
	// for at most 20 s. See sim/devices.py.
	Devices bool
	// Interpreter, if set, is used instead of the one that micropython.Find finds.
	Interpreter *micropython.Interpreter

	sim string // if set, the folder that holds the simulation's sources already
}

// Network is a network with one server that answers for every host, with TLS left out, or
// with none.
type Network struct {
	Port int // of the server on the loopback interface; 0 for none
}

// Ending says how a boot ended.
type Ending int

const (
	AtREPL    Ending = iota + 1 // boot.py and main.py ended, or one of them raised
	Reset                       // machine.reset()
	Watchdog                    // a watchdog that was not fed reset the board
	SoftReset                   // machine.soft_reset(), or sys.exit()
	Off                         // switched off by Board.SwitchOff or the end of the context
)

func (e Ending) String() string {
	names := [...]string{AtREPL: "at the REPL", Reset: "reset", Watchdog: "watchdog reset", SoftReset: "soft reset", Off: "switched off"}
	if e > 0 && int(e) < len(names) {
		return names[e]
	}
	return fmt.Sprintf("Ending(%d)", int(e))
}

// Reboots reports whether the board starts again by itself.
func (e Ending) Reboots() bool { return e == Reset || e == Watchdog || e == SoftReset }

// Armed is a timer or watchdog that was still armed when the board sat at the REPL.
type Armed struct {
	Watchdog bool
	Period   time.Duration
}

// Heap is what a board's heap held before boot.py ran, in bytes.
type Heap struct {
	Sim        int // the interpreter's own and the simulation
	FileSystem int // the mounted file system's buffers
	Free       int
}

// Result is what became of one boot.
type Result struct {
	Ending   Ending
	ExitCode int     // of the process; -1 if it was switched off
	Output   string  // of the console
	Raised   string  // "boot.py" or "main.py", if one ended with an exception
	Armed    []Armed // at the REPL
	Heap     Heap
	Tree     string // with Board.Judge: the digest of the tree that main.py started in, "" if it did not
	Rest     string // the same without boot.py
	Bootless bool   // with Board.Judge: boot.py was empty or absent when main.py started
	Room     int    // with Board.Judge: the bytes that were free at the mount
}

// Reset reports whether the boot ended with a reset of any kind.
func (r Result) Reset() bool { return r.Ending.Reboots() }

// Boot is one power cycle of the board. Where ctx ends first, the board is switched off and
// the error is that of ctx; the result is then valid too. Any other error says that the
// simulation failed, not what runs on it.
func (b *Board) Boot(ctx context.Context) (Result, error) {
	return b.boot(ctx, resetCausePowerOn)
}

// Run boots the board, and again after each reset, at most maxBoots times. It returns the
// result of every boot. That the last of them asked for another boot is no error.
func (b *Board) Run(ctx context.Context, maxBoots int) ([]Result, error) {
	var results []Result
	cause := resetCausePowerOn
	for range maxBoots {
		r, err := b.boot(ctx, cause)
		results = append(results, r)
		if err != nil {
			return results, err
		}
		switch r.Ending {
		case Reset:
			cause = resetCauseHard
		case Watchdog:
			cause = resetCauseWatchdog
		case SoftReset:
			cause = resetCauseSoft
		default:
			return results, nil
		}
	}
	return results, nil
}

func (b *Board) boot(ctx context.Context, cause int) (Result, error) {
	fail := func(err error) (Result, error) {
		return Result{ExitCode: -1}, fmt.Errorf("boot %s: %w", b.Image, err)
	}
	id := b.ID
	if id == "" {
		id = defaultID
	}
	args := []string{"-c", programToStart, "id=" + id, "cause=" + strconv.Itoa(cause), "verbose=1",
		"repl=" + strconv.FormatInt(b.REPL.Milliseconds(), 10)}
	if b.ReadOnly {
		args = append(args, "ro=1")
	}
	if b.Log != "" {
		log, err := filepath.Abs(b.Log)
		if err != nil {
			return fail(err)
		}
		args = append(args, "log="+log)
	}

	if b.Network != nil {
		args = append(args, "net="+strconv.Itoa(b.Network.Port))
	}
	if b.Judge != "" {
		paths, err := filepath.Abs(b.Judge)
		if err != nil {
			return fail(err)
		}
		args = append(args, "paths="+paths)
	}
	limit := b.Settle
	if b.Devices {
		args = append(args, "devices=1", "settle="+strconv.FormatInt(b.Settle.Milliseconds(), 10))
		limit = maxComputing
	}

	// The board is switched off by ending the context of its process alone.
	power, off := context.WithCancel(ctx)
	defer off()
	console := &console{w: b.Console, off: b.SwitchOff, cut: off}
	said := &driverLines{}
	if limit > 0 {
		said.mainStarts = func() { time.AfterFunc(limit, off) }
	}
	code, err := b.simulate(power, b.Heap, args, nil, console, said)
	stderr := said.String()
	r := Result{ExitCode: code, Output: console.output.String()}
	last := r.read(stderr)
	switch {
	case power.Err() != nil:
		r.Ending, r.ExitCode = Off, -1
		if ctx.Err() != nil {
			return r, fmt.Errorf("boot %s: %w", b.Image, ctx.Err())
		}
		return r, nil
	case code == exitREPL && strings.HasPrefix(last, "repl"):
		r.Ending = AtREPL
	case code == exitReset && last == "reset":
		r.Ending = Reset
	case code == exitReset && last == "watchdog":
		r.Ending = Watchdog
	case code == exitSoftReset && strings.HasPrefix(last, "soft reset"):
		r.Ending = SoftReset
	case code == exitOff && last == "switched off":
		r.Ending = Off
	case code == -1 && err != nil:
		return r, fmt.Errorf("boot %s: %w\n%s", b.Image, err, stderr)
	default:
		return r, fmt.Errorf("boot %s: the interpreter left with status %d\n%s%s", b.Image, code, r.Output, stderr)
	}
	return r, nil
}

// read takes in the simulation's lines and returns the last, which tells the ending.
func (r *Result) read(stderr string) (last string) {
	for line := range strings.Lines(stderr) {
		line, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "board: ")
		if !ok {
			continue
		}
		last = line
		words := strings.Fields(line)
		switch {
		case words[0] == "heap:":
			// A line of the simulation, in this very format.
			_, _ = fmt.Sscanf(line, "heap: %d taken by the board, %d by its file system, %d free",
				&r.Heap.Sim, &r.Heap.FileSystem, &r.Heap.Free)
		case len(words) > 1 && words[1] == "raised":
			r.Raised = words[0]
		case words[0] == "tree" && len(words) == 4:
			r.Tree, r.Rest, r.Bootless = words[1], words[2], words[3] == "bootless"
		case words[0] == "room" && len(words) == 2:
			r.Room, _ = strconv.Atoi(words[1])
		case words[0] == "repl":
			for _, w := range words[1:] {
				name, period, _ := strings.Cut(w, "=")
				ms, _ := strconv.Atoi(period)
				r.Armed = append(r.Armed, Armed{name == "WDT", time.Duration(ms) * time.Millisecond})
			}
		}
	}
	return last
}

// simulate runs the interpreter, on a heap of that size, with the simulation on its path and
// the arguments that describe the board's flash after args. It returns the exit status.
func (b *Board) simulate(ctx context.Context, heap string, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	in := b.Interpreter
	if in == nil {
		var err error
		if in, err = micropython.Find(ctx); err != nil {
			return -1, err
		}
	}
	if err := b.check(); err != nil {
		return -1, err
	}
	image, err := filepath.Abs(b.Image)
	if err != nil {
		return -1, err
	}
	dir := b.sim
	if dir == "" {
		if dir, err = os.MkdirTemp("", "saguarota-sim-"); err != nil {
			return -1, err
		}
		defer os.RemoveAll(dir)
		if err := os.CopyFS(dir, sim); err != nil {
			return -1, err
		}
	}
	args = append(args, "image="+image, "fs="+string(b.fs()), "block="+strconv.Itoa(b.blockSize()))
	cmd := in.Command(ctx, heap, args...)
	// Relative, so that tracebacks don't depend on the folder's name.
	cmd.Env = append(cmd.Env, "MICROPYPATH=sim")
	cmd.Dir = dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.WaitDelay = waitForOutputOfAKill
	err = cmd.Run()
	code := -1
	if cmd.ProcessState != nil {
		code = cmd.ProcessState.ExitCode()
	}
	return code, err
}

// driverLines collects what the simulation says on standard error, for its driver.
type driverLines struct {
	bytes.Buffer
	mainStarts func() // if set, called once
}

func (d *driverLines) Write(p []byte) (int, error) {
	n, err := d.Buffer.Write(p)
	if d.mainStarts != nil && bytes.Contains(d.Bytes(), []byte("board: tree ")) {
		d.mainStarts()
		d.mainStarts = nil
	}
	return n, err
}

func (b *Board) fs() FileSystem {
	if b.FS == "" {
		return Littlefs
	}
	return b.FS
}

func (b *Board) blockSize() int {
	switch {
	case b.BlockSize != 0:
		return b.BlockSize
	case b.fs() == FAT:
		return fatBlockSize
	}
	return littlefsBlockSize
}

func (b *Board) size() int {
	if b.Size != 0 {
		return b.Size
	}
	return defaultSize
}

func (b *Board) check() error {
	switch {
	case b.Image == "":
		return errors.New("no image file given")
	case b.fs() != Littlefs && b.fs() != FAT:
		return fmt.Errorf("unknown file system %q: want %q or %q", b.FS, Littlefs, FAT)
	case b.blockSize() < 128 || b.blockSize()%128 != 0:
		return fmt.Errorf("block size %d: want a multiple of 128", b.BlockSize)
	case b.size() < 4*b.blockSize() || b.size()%b.blockSize() != 0:
		return fmt.Errorf("size %d: want a multiple of the block size %d, at least four blocks", b.Size, b.blockSize())
	}
	return nil
}

// console collects what the board prints, passes it on, and looks for the line at which the
// board is to be switched off.
type console struct {
	w   io.Writer
	off func(line string) bool
	cut func()

	mu     sync.Mutex
	output strings.Builder
	line   []byte
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.output.Write(p)
	if c.w != nil {
		if n, err := c.w.Write(p); err != nil {
			return n, err
		}
	}
	if c.off != nil {
		c.line = append(c.line, p...)
		for {
			line, rest, found := bytes.Cut(c.line, []byte("\n"))
			if !found {
				break
			}
			if c.off(strings.TrimSuffix(string(line), "\r")) {
				c.cut()
			}
			c.line = rest
		}
	}
	return len(p), nil
}
