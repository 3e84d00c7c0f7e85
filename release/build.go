package release

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
)

// BuildOptions say what a site is made of.
type BuildOptions struct {
	Source string           // folder with the files of the release
	Files  manifest.Options // which of them, and how they are versioned
	Indent int              // of the manifest, as manifest.Encode takes it

	AuthKey        []byte // also signs the manifest by HMAC, if there is one
	SignatureField string // where that goes; empty means manifest.DefaultSignatureField

	// Statement holds App and what else it is to say. Version, Manifest and
	// Keyset are filled in.
	Statement Statement

	// Signers sign the statement. There may be none: it can be signed later
	// and elsewhere, by SignSite.
	Signers []Signer

	// From are sites of releases before this one. Versions grow from theirs.
	From []Source

	// Packs, if set, also makes packs: of the whole release, and from the releases in
	// From and in the site before.
	Packs *pack.Options
}

// A Build is what BuildSite wrote.
type Build struct {
	Manifest  *manifest.Manifest
	Encoded   []byte             // Manifest, as it is signed
	Previous  *manifest.Manifest // of the newest release before; nil if there is none
	Statement *Statement
	Document  *Document
	Missing   int // signatures that are still needed
	Packs     []BuiltPack
	Notes     []string // why there is no pack from one of the releases before
}

// BuildSite makes a release of the files in a folder and writes the site of it
// to the folder dir, which is new, empty, or a site. What readers see meanwhile
// is said at the top of publish.go: never half a file, and never a statement
// that leads to something that is not there yet.
//
// The same files, sites before and options make the same bytes. The site in
// dir itself counts as one of o.From. Versions go on from the newest of these
// releases: if the content changed, or anything else in the manifest, the version is
// greater; if nothing did, it is the same. A release that was signed under an
// older keyset does not count: its version may be a thief's.
//
// If the site, or the first of o.From that has any, has keysets, the statement
// names the last of them, and the signers must be in it (ErrNoMember); a new site gets
// copies of them. Else the signers are keyset 1, which boards know by themselves.
func BuildSite(ctx context.Context, dir string, o BuildOptions) (*Build, error) {
	dir, err := checkPlaces(dir, o)
	if err != nil {
		return nil, err
	}
	own, err := ownSite(dir)
	if err != nil {
		return nil, err
	}
	sources := slices.Concat(own, o.From)
	chain, err := firstChain(ctx, sources)
	if err != nil {
		return nil, err
	}
	keyset, err := checkSigners(chain, o)
	if err != nil {
		return nil, err
	}
	previous, err := newest(ctx, sources, keyset.Version, o)
	if err != nil {
		return nil, err
	}

	o.Files.Previous = previous.manifest
	scanner, err := manifest.NewScanner(o.Source, o.Files)
	if err != nil {
		return nil, err
	}
	m, err := scanner.Build(ctx)
	if err != nil {
		return nil, err
	}
	if len(m.Files) == 0 {
		return nil, fmt.Errorf("the release of %s: %w", o.Source, ErrNoFiles)
	}
	for _, f := range m.Files {
		if err := checkPath(f.Path); err != nil {
			return nil, err
		}
	}
	m.App, m.SignatureField = o.Statement.App, o.SignatureField
	encoded, err := encodeManifest(m, previous, o)
	if err != nil {
		return nil, err
	}

	b := &Build{Manifest: m, Encoded: encoded, Previous: previous.manifest, Statement: &o.Statement}
	b.Statement.Version, b.Statement.Manifest, b.Statement.Keyset = m.Version, PinOf(encoded), keyset.Version
	b.Document, err = b.Statement.Document()
	if err != nil {
		return nil, err
	}
	for _, s := range o.Signers {
		if err := b.Document.Sign(ctx, s); err != nil {
			return nil, err
		}
	}
	b.Missing = max(0, keyset.Threshold-len(b.Document.signatures))

	var items []item
	for _, link := range chain {
		items = append(items, dataItem(KeysetName(link.Keyset.Version), link.Document.Bytes()))
	}
	for _, f := range m.Files {
		sum, err := hex.DecodeString(f.SHA256)
		if err != nil {
			return nil, err
		}
		items = append(items, item{f.Path, [32]byte(sum), func() (io.ReadCloser, error) { return scanner.Open(f.Path) }})
	}
	obsolete, err := obsoletePaths(ctx, own, m, o.SignatureField)
	if err != nil {
		return nil, err
	}
	if o.Packs != nil {
		var packs []item
		packs, b.Packs, b.Notes, err = makePacks(ctx, scanner, encoded, sources, o)
		if err != nil {
			return nil, err
		}
		items = append(items, packs...)
	}
	old, err := obsoletePacks(own, pack.ID(encoded), o.Packs != nil)
	if err != nil {
		return nil, err
	}
	obsolete = append(obsolete, old...)
	items = append(items, dataItem(ManifestName, encoded), dataItem(StatementName, b.Document.Bytes()))
	if err := publish(dir, items, obsolete); err != nil {
		return nil, fmt.Errorf("write the site %s: %w", dir, err)
	}
	return b, nil
}

// checkPlaces reports whether the site can be written to dir: it must lie
// neither around nor in the source, where its files would be taken for sources
// the next time. It returns dir without links.
func checkPlaces(dir string, o BuildOptions) (string, error) {
	source, err := realPath(o.Source)
	if err != nil {
		return "", err
	}
	site, err := realPath(dir)
	if err != nil {
		return "", err
	}
	if inside, err := filepath.Rel(source, site); err == nil && filepath.IsLocal(inside) {
		excluded := func(folder string) bool { return slices.Contains(o.Files.ExcludeFolders, folder) }
		if !slices.ContainsFunc(strings.Split(filepath.ToSlash(inside), "/"), excluded) {
			return "", fmt.Errorf("%w: %s lies in %s, so the next release would have this one in it", ErrPlace, dir, o.Source)
		}
	}
	if inside, err := filepath.Rel(site, source); err == nil && filepath.IsLocal(inside) {
		return "", fmt.Errorf("%w: %s lies in %s", ErrPlace, o.Source, dir)
	}
	return site, nil
}

// realPath returns a path without links, of something that need not be there.
func realPath(name string) (string, error) {
	name, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	if info, err := os.Lstat(name); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return "", &fs.PathError{Op: "open", Path: name, Err: errors.New("a link to nowhere")}
	}
	parent := filepath.Dir(name)
	if parent == name {
		return name, nil
	}
	parent, err = realPath(parent)
	return filepath.Join(parent, filepath.Base(name)), err
}

// ownSite returns the site that is to be replaced, if there is one.
func ownSite(dir string) ([]Source, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	others := 0
	for _, e := range entries {
		switch name := e.Name(); {
		case name == ManifestName, name == keysFolder:
			return []Source{Dir(dir)}, nil
		case !strings.HasPrefix(name, stagingPrefix):
			others++
		}
	}
	if others > 0 {
		return nil, fmt.Errorf("%w: %s has files in it, but no %s", ErrNotSite, dir, ManifestName)
	}
	return nil, nil
}

// firstChain returns the keysets of the first source that has any.
func firstChain(ctx context.Context, sources []Source) ([]Link, error) {
	for _, src := range sources {
		chain, err := ReadChain(ctx, src)
		if err != nil {
			return nil, err
		}
		if len(chain) > 0 {
			return chain, nil
		}
	}
	return nil, nil
}

// checkSigners returns the keyset that the statement is to name.
func checkSigners(chain []Link, o BuildOptions) (*Keyset, error) {
	if len(chain) == 0 {
		return &Keyset{App: o.Statement.App, Version: 1, Threshold: 1}, nil
	}
	last := chain[len(chain)-1]
	return last.Keyset, last.CheckSigners(o.Statement.App, o.Signers)
}

// CheckSigners reports whether releases of app can be signed by signers for this
// keyset: ErrThreshold if it is pending, ErrApp, or ErrNoMember if one is not in it.
func (l Link) CheckSigners(app string, signers []Signer) error {
	k := l.Keyset
	switch {
	case l.Pending != nil:
		return fmt.Errorf("%s: %w", KeysetName(k.Version), l.Pending)
	case k.App != app:
		return fmt.Errorf("%w: the keysets of the site are those of %q, not %q", ErrApp, k.App, app)
	}
	return checkMembers(k, signers)
}

func checkMembers(keyset *Keyset, signers []Signer) error {
	for _, s := range signers {
		if id := s.PublicKey().ID(); !keyset.Has(id) {
			return fmt.Errorf("%w: %s is not in keyset %d, so boards would not count its signature", ErrNoMember, id, keyset.Version)
		}
	}
	return nil
}

// before is the release before, the zero value if there is none.
type before struct {
	manifest *manifest.Manifest
	encoded  []byte
}

// newest returns the newest of the releases of keyset or later.
func newest(ctx context.Context, sources []Source, keyset int64, o BuildOptions) (before, error) {
	var best before
	if o.Files.Previous != nil {
		best.manifest = o.Files.Previous
	}
	for _, src := range sources {
		m, encoded, err := SiteManifest(ctx, src, o.SignatureField)
		if errors.Is(err, fs.ErrNotExist) && hasKeysets(ctx, src) {
			continue // made by NewChain, not built yet
		}
		if err != nil {
			return before{}, err
		}
		s, _, err := SiteStatement(ctx, src)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return before{}, err
		}
		if s != nil && s.Keyset < keyset {
			continue
		}
		if best.manifest == nil || m.Version > best.manifest.Version {
			best = before{m, encoded}
		}
	}
	return best, nil
}

// hasKeysets reports whether a site has a first keyset.
func hasKeysets(ctx context.Context, src Source) bool {
	r, err := src.Open(ctx, KeysetName(1))
	if err != nil {
		return false
	}
	_ = r.Close()
	return true
}

// encodeManifest signs and encodes m, with a version that boards which have
// the release before can tell from it.
func encodeManifest(m *manifest.Manifest, previous before, o BuildOptions) ([]byte, error) {
	encode := func() ([]byte, error) {
		if o.AuthKey != nil {
			if err := m.Sign(o.AuthKey); err != nil {
				return nil, err
			}
		}
		return m.Encode(o.Indent)
	}
	old := previous.manifest
	if old == nil || m.Version > old.Version {
		return encode()
	}
	m.Version = old.Version
	encoded, err := encode()
	if err != nil || previous.encoded == nil || bytes.Equal(encoded, previous.encoded) {
		return encoded, err
	}
	// The files are the same, but something else in the manifest is not.
	if m.Version++; m.Version < 0 {
		return nil, fmt.Errorf("%w: the release before has the greatest version there can be; rotate the keys, which begins anew", ErrFormat)
	}
	return encode()
}

// obsoletePaths returns what the release in the site has and m has not.
func obsoletePaths(ctx context.Context, own []Source, m *manifest.Manifest, signatureField string) ([]string, error) {
	if len(own) == 0 {
		return nil, nil
	}
	old, _, err := SiteManifest(ctx, own[0], signatureField)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	keep := make(map[string]bool, len(m.Files))
	for _, f := range m.Files {
		keep[f.Path] = true
	}
	var obsolete []string
	for _, f := range old.Files {
		if !keep[f.Path] && checkPath(f.Path) == nil {
			obsolete = append(obsolete, f.Path)
		}
	}
	return obsolete, nil
}
