package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"
)

// An endlessChain is a server that makes up one valid keyset after the other: its own keys, so
// nothing keeps it from that.
type endlessChain struct {
	t      *testing.T
	signer Signer
	asked  int64
}

func (e *endlessChain) String() string { return "the endless chain" }

func (e *endlessChain) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	var n int64
	if _, err := fmt.Sscanf(path, "keys/%d.json", &n); err != nil {
		return nil, fs.ErrNotExist
	}
	if e.asked = n; n > 10*maxChain {
		return nil, fmt.Errorf("keyset %d is asked for", n)
	}
	k := Keyset{App: "badge", Version: n, Threshold: 1, Keys: []PublicKey{e.signer.PublicKey()}}
	d, err := k.Document()
	if err != nil {
		e.t.Fatal(err)
	}
	if err := d.Sign(ctx, e.signer); err != nil {
		e.t.Fatal(err)
	}
	return io.NopCloser(bytes.NewReader(d.Bytes())), nil
}

// Whoever looks at the keysets of a server comes to an end.
func TestReadChainEnds(t *testing.T) {
	signers, _ := testKeys(t, "a")
	src := &endlessChain{t: t, signer: signers[0]}
	if _, err := ReadChain(t.Context(), src); !errors.Is(err, ErrFormat) || src.asked != maxChain+1 {
		t.Errorf("%v, after keyset %d was asked for", err, src.asked)
	}
}
