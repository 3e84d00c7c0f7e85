package deflate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/internal/micropython"
)

// inflate is what a board does, and prints what comes out of it.
const inflate = `
import deflate, hashlib, sys, binascii
for name in sys.argv[2:]:
    h = hashlib.sha256()
    with open(name, "rb") as f:
        d = deflate.DeflateIO(f, deflate.RAW, int(sys.argv[1]))
        while True:
            b = d.read(256)
            if not b:
                break
            h.update(b)
    print(binascii.hexlify(h.digest()).decode())
`

// A board inflates what Compress makes, with a window of the size that it was made
// for.
func TestBoardsInflate(t *testing.T) {
	board, err := micropython.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := filepath.Join(dir, "inflate.py")
	if err := os.WriteFile(script, []byte(inflate), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, bits := range []int{10, 12, 15} {
		args := []string{script, fmt.Sprint(bits)}
		var want []string
		for name, src := range inputs(t) {
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, Compress(nil, src, 1<<bits, 5), 0o666); err != nil {
				t.Fatal(err)
			}
			args = append(args, file)
			want = append(want, fmt.Sprintf("%x", sha256.Sum256(src)))
		}
		if got := output(t.Context(), t, board, args); got != strings.Join(want, "\n") {
			t.Errorf("window 2^%d: the board says\n%s\nwant\n%s", bits, got, strings.Join(want, "\n"))
		}
	}
}

func output(ctx context.Context, t *testing.T, board *micropython.Interpreter, args []string) string {
	t.Helper()
	cmd := board.Command(ctx, "64K", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}
