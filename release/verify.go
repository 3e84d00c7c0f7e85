package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cactuscon/saguarota/manifest"
)

// A Report is what VerifySite found, as far as it got.
type Report struct {
	Statement *Statement
	Signers   []KeyID // those that count, of the statement
	Keyset    *Keyset // the one that they are in
	Manifest  *manifest.Manifest
	Files     int      // that have the right content
	Bytes     int64    // in these
	Notes     []string // what is odd, but no board minds
}

// VerifySite checks a site as a board does that has the keyset root built in and
// the properties of b, and also what only other boards would find: it reads
// every file. The report says how far it got also where there is an error. If
// the site has a keyset of root's number, that must be root (ErrRoot).
func VerifySite(ctx context.Context, src Source, root *Keyset, b Board) (*Report, error) {
	r, err := VerifySigned(ctx, src, root, b)
	if err != nil {
		return r, err
	}
	for _, f := range r.Manifest.Files {
		n, err := verifyFile(ctx, src, f)
		if err != nil {
			return r, fmt.Errorf("%s: %w", f.Path, err)
		}
		r.Files++
		r.Bytes += n
	}
	if dir, ok := src.(Dir); ok {
		if err := r.noteStrangers(dir); err != nil {
			return r, err
		}
	}
	return r, nil
}

// VerifySigned is VerifySite without the files: it says whether the statement, the
// keysets and the manifest are what a board takes.
func VerifySigned(ctx context.Context, src Source, root *Keyset, b Board) (*Report, error) {
	r := new(Report)
	s, doc, err := SiteStatement(ctx, src)
	if err != nil {
		return r, err
	}
	r.Statement = s
	if b.App != "" && s.App != b.App {
		return r, fmt.Errorf("%s: %w", StatementName, b.Accepts(s))
	}
	trusted := *root
	if trusted.App == "" {
		// Then it is for whatever application the first keyset it signed is.
		trusted.App = s.App
	}
	if err := checkRoot(ctx, src, &trusted); err != nil {
		return r, err
	}
	r.Keyset = &trusted
	if s.Keyset < trusted.Version {
		return r, fmt.Errorf("%s: %w: it is for keyset %d, and boards have keyset %d", StatementName, ErrRollback, s.Keyset, trusted.Version)
	}
	for r.Keyset.Version < s.Keyset {
		name := KeysetName(r.Keyset.Version + 1)
		data, err := readFile(ctx, src, name, MaxKeysetBytes)
		if err != nil {
			return r, err
		}
		d, err := ReadDocument(KindKeyset, data)
		if err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
		next, err := r.Keyset.Next(d)
		if err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
		r.Keyset = next
	}
	if r.Signers, err = r.Keyset.Verify(doc); err != nil {
		return r, fmt.Errorf("%s: %w", StatementName, err)
	}
	if len(r.Signers) < len(doc.signatures) {
		r.Notes = append(r.Notes, fmt.Sprintf("signatures by keys that boards do not know: %d", len(doc.signatures)-len(r.Signers)))
	}
	if err := b.Accepts(s); err != nil {
		return r, fmt.Errorf("%s: %w", StatementName, err)
	}

	encoded, err := readFile(ctx, src, ManifestName, min(s.Manifest.Size, manifest.MaxBytes))
	if err != nil {
		if errors.Is(err, ErrFormat) {
			err = fmt.Errorf("%s: %w: it is longer than %d bytes", ManifestName, ErrContent, s.Manifest.Size)
		}
		return r, err
	}
	if r.Manifest, err = s.openManifest(encoded); err != nil {
		return r, fmt.Errorf("%s: %w", ManifestName, err)
	}
	return r, nil
}

// checkRoot compares the keyset that boards have built in with the one of that
// number in the site, if it is there: boards do not ask for it, but tools go on
// from it.
func checkRoot(ctx context.Context, src Source, root *Keyset) error {
	name := KeysetName(root.Version)
	data, err := readFile(ctx, src, name, MaxKeysetBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	fail := func(err error) error { return fmt.Errorf("%s: %w", name, err) }
	first, doc, err := ReadKeyset(data)
	if err != nil {
		return fail(err)
	}
	byText := func(a, b PublicKey) int { return strings.Compare(a.String(), b.String()) }
	switch {
	case first.Version != root.Version:
		return fail(fmt.Errorf("%w: it says that it is keyset %d", ErrSequence, first.Version))
	case first.App != root.App:
		return fail(fmt.Errorf("%w: %q, not %q", ErrApp, first.App, root.App))
	case first.Threshold != root.Threshold:
		return fail(fmt.Errorf("%w: its threshold is %d, not %d", ErrRoot, first.Threshold, root.Threshold))
	case !slices.Equal(slices.SortedFunc(slices.Values(first.Keys), byText), slices.SortedFunc(slices.Values(root.Keys), byText)):
		return fail(fmt.Errorf("%w: it has other keys", ErrRoot))
	}
	if _, err := first.Verify(doc); err != nil {
		return fail(err)
	}
	return nil
}

// openManifest reads a manifest and checks that it is the one that the
// statement pins. A board with public keys installs nothing that has no SHA-256.
func (s *Statement) openManifest(encoded []byte) (*manifest.Manifest, error) {
	if s.Manifest != PinOf(encoded) {
		return nil, fmt.Errorf("%w: it has %d bytes and the SHA-256 %x, not %d and %x", ErrContent, len(encoded), sha256.Sum256(encoded), s.Manifest.Size, s.Manifest.SHA256)
	}
	m, err := readManifest(encoded, "")
	if err == nil {
		err = m.Validate()
	}
	if err != nil {
		return nil, err
	}
	switch {
	case m.Version != s.Version:
		return nil, fmt.Errorf("%w: it is version %d, not %d", ErrContent, m.Version, s.Version)
	case m.App != "" && m.App != s.App:
		return nil, fmt.Errorf("%w: it is for %q, not %q", ErrContent, m.App, s.App)
	}
	if len(m.Files) == 0 {
		return nil, fmt.Errorf("%w: boards refuse such a release", ErrNoFiles)
	}
	for _, f := range m.Files {
		if f.SHA256 == "" {
			return nil, fmt.Errorf("%w: %s has no SHA-256", ErrContent, f.Path)
		}
		if err := checkPath(f.Path); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// verifyFile compares a file with its entry in the manifest and returns its
// size.
func verifyFile(ctx context.Context, src Source, f manifest.File) (int64, error) {
	r, err := src.Open(ctx, f.Path)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	var in io.Reader = r
	if f.Size >= 0 {
		in = io.LimitReader(r, f.Size+1)
	}
	h := sha256.New()
	n, err := io.Copy(h, in)
	switch {
	case err != nil:
		return 0, err
	case f.Size >= 0 && n > f.Size:
		return 0, fmt.Errorf("%w: it has more than %d bytes", ErrContent, f.Size)
	case f.Size >= 0 && n < f.Size:
		return 0, fmt.Errorf("%w: it has %d bytes, not %d", ErrContent, n, f.Size)
	}
	if sum := hex.EncodeToString(h.Sum(nil)); !strings.EqualFold(sum, f.SHA256) {
		return 0, fmt.Errorf("%w: it has the SHA-256 %s, not %s", ErrContent, sum, f.SHA256)
	}
	return n, nil
}

// noteStrangers notes the files in a folder that belong to no part of the site.
func (r *Report) noteStrangers(dir Dir) error {
	known := make(map[string]bool, len(r.Manifest.Files))
	for _, f := range r.Manifest.Files {
		known[f.Path] = true
	}
	const most = 5
	count := 0
	err := filepath.WalkDir(string(dir), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(string(dir), name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if known[rel] || checkPath(rel) != nil {
			return nil
		}
		if count++; count <= most {
			r.Notes = append(r.Notes, rel+" is not part of the release")
		}
		return nil
	})
	if count > most {
		r.Notes = append(r.Notes, fmt.Sprintf("nor are %d other files", count-most))
	}
	return err
}
