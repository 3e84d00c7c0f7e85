package rehearse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cactuscon/saguarota/internal/micropython"
)

// Fault is a file that a board could not load.
type Fault struct {
	Path    string // in its tree
	Line    int    // 0 if it is not a matter of one
	Message string
}

func (f Fault) String() string {
	if f.Line == 0 {
		return f.Path + ": " + f.Message
	}
	return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Message)
}

// compileAll compiles what standard input names, and says what cannot be. Code for the
// assembler of one processor is none of the host's business.
const compileAll = `
import io, sys
for name in sys.stdin.buffer.read().decode().split("\n"):
    with open(name) as f:
        text = f.read()
    if "micropython.asm_" in text:
        continue
    try:
        compile(text, name, "exec")
    except Exception as e:
        s = io.StringIO()
        sys.print_exception(e, s)
        lines = s.getvalue().strip().split("\n")
        at = [l for l in lines if l.startswith('  File "' + name + '", line ')]
        n = at[-1].rsplit("line ", 1)[1].split(",")[0] if at else "0"
        print(name, n, lines[-1], sep="\t")
    except MemoryError as e:
        print(name, "0", "it is too large to compile", sep="\t")
`

// Check looks for files, by their paths in the tree dir, that a board could not load: a .py
// that MicroPython does not compile, and a .mpy of another ABI than the interpreter's or than
// that of most others.
func Check(ctx context.Context, in *micropython.Interpreter, dir string, files []string) ([]Fault, error) {
	var sources []string
	abis := map[string][]string{}
	var faults []Fault
	for _, name := range files {
		switch strings.ToLower(path.Ext(name)) {
		case ".py":
			sources = append(sources, name)
		case ".mpy":
			abi, err := mpyABI(filepath.Join(dir, filepath.FromSlash(name)))
			if err != nil {
				faults = append(faults, Fault{Path: name, Message: err.Error()})
				continue
			}
			abis[abi] = append(abis[abi], name)
		}
	}
	if len(abis) > 1 {
		most := ""
		for abi, names := range abis {
			if len(names) > len(abis[most]) || len(names) == len(abis[most]) && abi > most {
				most = abi
			}
		}
		for abi, names := range abis {
			for _, name := range names {
				if abi != most {
					faults = append(faults, Fault{Path: name, Message: fmt.Sprintf("it is %s, but %s is %s", abi, abis[most][0], most)})
				}
			}
		}
	}
	if len(sources) > 0 {
		cmd := in.Command(ctx, "16M", "-c", compileAll)
		cmd.Dir = dir
		cmd.Stdin = strings.NewReader(strings.Join(sources, "\n"))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("compile the sources of %s: %w\n%s", dir, err, stderr.String())
		}
		for line := range strings.Lines(string(out)) {
			fields := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
			if len(fields) != 3 {
				return nil, fmt.Errorf("compile the sources of %s: odd answer %q", dir, line)
			}
			n, _ := strconv.Atoi(fields[1])
			faults = append(faults, Fault{fields[0], n, fields[2]})
		}
	}
	slices.SortFunc(faults, func(a, b Fault) int { return strings.Compare(a.Path, b.Path) })
	return faults, nil
}

var architectures = []string{"", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "xtensa", "xtensawin", "rv32imc", "rv64imc"}

// mpyABI reads the head of a .mpy file.
func mpyABI(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 4)
	n, _ := f.Read(head)
	if n < 4 || head[0] != 'M' {
		return "", errors.New("it is no .mpy file")
	}
	arch := int(head[2] >> 2 & 0x0f)
	if arch != 0 {
		what := strconv.Itoa(arch)
		if arch < len(architectures) {
			what = architectures[arch]
		}
		return "", fmt.Errorf("it holds machine code for %s, which a simulated board cannot run", what)
	}
	// What a bytecode file's numbers need: 31 bits are what 32-bit boards have.
	if head[3] > 31 {
		return "", fmt.Errorf("it was compiled for small integers of %d bits, and boards have 31", head[3])
	}
	if want := micropython.MpyVersion; head[1] != want[0]-'0' {
		return "", fmt.Errorf("it has .mpy version %d; boards with MicroPython %v and newer load version %s", head[1], micropython.MinVersion, want)
	}
	return fmt.Sprintf(".mpy version %d with small integers of %d bits", head[1], head[3]), nil
}
