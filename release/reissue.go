package release

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"github.com/cactuscon/saguarota/manifest"
)

// ErrSame: the newest release has the content of the one that is to be issued again.
var ErrSame = errors.New("the newest release has this content already")

// ReissueOptions say how the content of an old release becomes a new one.
type ReissueOptions struct {
	// Old and Newest are what VerifySite and VerifySigned found good. What the new
	// statement says is what Old's does, but for its Version, Manifest, Keyset, Time and
	// Expires; its keyset is Newest's.
	Old, Newest *Report

	// Anew makes a new release also of what the newest one has, as where that was
	// withdrawn.
	Anew bool

	// Taken are versions that there are already, also those of other keysets.
	Taken map[int64]bool

	Time, Expires int64 // of the new statement

	Indent         int    // of the manifest, as manifest.Encode takes it
	AuthKey        []byte // also signs the manifest by HMAC, if there is one
	SignatureField string // where that goes; empty means manifest.DefaultSignatureField

	Signers []Signer // there may be none: see SignSite
}

// Reissue makes a release that boards with the newest one take, of the content of an
// older one: boards never go back, so this is how a bad release is left behind. Its
// version is the lowest that does. Errors are ErrSame, ErrNoMember for a signer that has
// no say in the newest keyset, and ErrFormat where there is no greater version.
func Reissue(ctx context.Context, o ReissueOptions) (*Build, error) {
	newest := o.Newest.Manifest
	m := &manifest.Manifest{App: o.Old.Statement.App, SignatureField: o.SignatureField}
	m.Version = newest.Version
	for m.Version == newest.Version || o.Taken[m.Version] {
		if m.Version == math.MaxInt64 {
			return nil, fmt.Errorf("%w: the newest release has the greatest version there can be; rotate the keys, which begins anew", ErrFormat)
		}
		m.Version++
	}
	known := make(map[string]manifest.File, len(newest.Files))
	for _, f := range newest.Files {
		known[f.Path] = f
	}
	same := len(newest.Files) == len(o.Old.Manifest.Files)
	for _, f := range o.Old.Manifest.Files {
		f.Version = m.Version
		// What boards have already keeps its version: those with the first library of all
		// fetch what grew.
		if n := known[f.Path]; sameContent(n, f) {
			f.Version = n.Version
		} else {
			same = false
		}
		m.Files = append(m.Files, f)
	}
	if same && !o.Anew && o.Old.Statement.Keyset == o.Newest.Statement.Keyset {
		return nil, fmt.Errorf("%w: version %d that of version %d", ErrSame, newest.Version, o.Old.Statement.Version)
	}
	if err := checkMembers(o.Newest.Keyset, o.Signers); err != nil {
		return nil, err
	}
	if o.AuthKey != nil {
		if err := m.Sign(o.AuthKey); err != nil {
			return nil, err
		}
	}
	encoded, err := m.Encode(o.Indent)
	if err != nil {
		return nil, err
	}
	s := *o.Old.Statement
	s.Version, s.Manifest, s.Keyset, s.Time, s.Expires = m.Version, PinOf(encoded), o.Newest.Keyset.Version, o.Time, o.Expires
	b := &Build{Manifest: m, Encoded: encoded, Previous: newest, Statement: &s}
	if b.Document, err = s.Document(); err != nil {
		return nil, err
	}
	for _, signer := range o.Signers {
		if err := b.Document.Sign(ctx, signer); err != nil {
			return nil, err
		}
	}
	b.Missing = max(0, o.Newest.Keyset.Threshold-len(b.Document.signatures))
	return b, nil
}

// sameContent reports whether two entries of manifests are of the same content.
func sameContent(a, b manifest.File) bool {
	return a.SHA256 != "" && a.SHA256 == b.SHA256 && a.MD5 == b.MD5
}

// WriteSite writes a release to the folder dir as a site, without packs. The folder must
// be empty, or not be there: fs.ErrExist. Its files are those of src, where each must be
// what the manifest says (ErrChanged); keysets are the documents that go with it, by
// their numbers.
func (b *Build) WriteSite(ctx context.Context, dir string, src Source, keysets map[int64][]byte) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return &fs.PathError{Op: "write a site to", Path: dir, Err: fs.ErrExist}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var items []item
	for n, data := range keysets {
		items = append(items, dataItem(KeysetName(n), data))
	}
	for _, f := range b.Manifest.Files {
		sum, err := hex.DecodeString(f.SHA256)
		if err != nil {
			return err
		}
		items = append(items, item{f.Path, [32]byte(sum), func() (io.ReadCloser, error) { return src.Open(ctx, f.Path) }})
	}
	items = append(items, dataItem(ManifestName, b.Encoded), dataItem(StatementName, b.Document.Bytes()))
	if err := publish(dir, items, nil); err != nil {
		return fmt.Errorf("write the site %s: %w", dir, err)
	}
	return nil
}
