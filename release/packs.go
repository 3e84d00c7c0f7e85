package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
)

// PackRelease returns the release in a site in the form that package pack takes,
// and its manifest. It verifies nothing; package pack compares every file that it reads with
// the manifest.
func PackRelease(ctx context.Context, src Source, signatureField string) (*pack.Release, *manifest.Manifest, error) {
	m, encoded, err := SiteManifest(ctx, src, signatureField)
	if err != nil {
		return nil, nil, err
	}
	return &pack.Release{Manifest: encoded, Open: src.Open}, m, nil
}

// A BuiltPack is a pack that BuildSite wrote.
type BuiltPack struct {
	Path  string // in the site
	Stats pack.Stats
}

// makePacks makes the pack of the whole of a release, and one from each of the
// releases in sources. Where an old release is not there whole, as that of a site of
// which only the manifest was kept, a note says that there is no pack from it.
func makePacks(ctx context.Context, scanner *manifest.Scanner, encoded []byte, sources []Source, o BuildOptions) (items []item, packs []BuiltPack, notes []string, err error) {
	new := &pack.Release{Manifest: encoded, Open: func(_ context.Context, path string) (io.ReadCloser, error) { return scanner.Open(path) }}
	add := func(old *pack.Release) error {
		var b bytes.Buffer
		stats, err := pack.Encode(ctx, &b, old, new, *o.Packs)
		if err != nil {
			return err
		}
		var from []byte
		if old != nil {
			from = old.Manifest
		}
		name := pack.Name(from, encoded)
		items = append(items, dataItem(name, b.Bytes()))
		packs = append(packs, BuiltPack{name, stats})
		return nil
	}
	if err := add(nil); err != nil {
		if errors.Is(err, pack.ErrContent) {
			err = fmt.Errorf("%w: %w", ErrChanged, err)
		}
		return nil, nil, nil, err
	}
	done := map[string]bool{pack.ID(encoded): true}
	for _, src := range sources {
		old, _, err := PackRelease(ctx, src, o.SignatureField)
		if errors.Is(err, fs.ErrNotExist) {
			continue // keysets, and no release yet
		}
		if err != nil {
			return nil, nil, nil, err
		}
		if id := pack.ID(old.Manifest); done[id] {
			continue
		} else {
			done[id] = true
		}
		if err := add(old); err != nil {
			if ctx.Err() != nil {
				return nil, nil, nil, err
			}
			notes = append(notes, fmt.Sprintf("no pack from the release in %s: %v", src, err))
		}
	}
	return items, packs, notes, nil
}

// obsoletePacks returns the packs in the site that lead to other releases than that
// with the given ID, which no statement leads to any more; where keep is not set,
// all. Those that lead to it, from releases that are gone, stay.
func obsoletePacks(own []Source, id string, keep bool) ([]string, error) {
	var obsolete []string
	for _, src := range own {
		dir, ok := src.(Dir)
		if !ok {
			continue
		}
		names, err := packNames(dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if _, to, _ := pack.ParseName(name); to != id || !keep {
				obsolete = append(obsolete, name)
			}
		}
	}
	return obsolete, nil
}

// packNames lists the packs in the site in a folder, sorted by name.
func packNames(dir Dir) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(string(dir), packsFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := path.Join(packsFolder, e.Name())
		if _, _, ok := pack.ParseName(name); ok && e.Type().IsRegular() {
			names = append(names, name)
		}
	}
	return names, nil
}

// A SitePack is a pack that lies in a site.
type SitePack struct {
	Path     string
	From, To string // IDs of releases; From is empty for the whole release
	Bytes    int64
}

// SitePacks lists the packs of a site, sorted by path. Of a site that is not a folder
// only those are found that lead to the release in it, as a whole or from one of the
// releases in from. It reads nothing in them.
func SitePacks(ctx context.Context, src Source, from ...Source) ([]SitePack, error) {
	var names []string
	var err error
	if dir, ok := src.(Dir); ok {
		names, err = packNames(dir)
	} else {
		names, err = likelyPacks(ctx, src, from)
	}
	if err != nil {
		return nil, err
	}
	var found []SitePack
	for _, name := range names {
		r, err := src.Open(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		n, err := io.Copy(io.Discard, io.LimitReader(r, pack.MaxBytes+1))
		_ = r.Close()
		if err != nil {
			return nil, fmt.Errorf("read %s of %s: %w", name, src, err)
		}
		p := SitePack{Path: name, Bytes: n}
		p.From, p.To, _ = pack.ParseName(name)
		found = append(found, p)
	}
	return found, nil
}

// likelyPacks returns the paths that the packs of a release would have.
func likelyPacks(ctx context.Context, src Source, from []Source) ([]string, error) {
	_, encoded, err := SiteManifest(ctx, src, "")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range from {
		_, old, err := SiteManifest(ctx, f, "")
		if err != nil {
			return nil, err
		}
		names = append(names, pack.Name(old, encoded))
	}
	return append(names, pack.Name(nil, encoded)), nil
}

// VerifyPacks applies the packs of a site and compares what they make with the
// release in it, which VerifySite has to find good before. Those from another release
// can only be applied where that is one of from; of the others just the form is
// checked, which the notes say. A bad pack harms no board, but is of no use to it.
func VerifyPacks(ctx context.Context, src Source, from ...Source) (checked int, notes []string, err error) {
	packs, err := SitePacks(ctx, src, from...)
	if err != nil || len(packs) == 0 {
		return 0, nil, err
	}
	_, encoded, err := SiteManifest(ctx, src, "")
	if err != nil {
		return 0, nil, err
	}
	id := pack.ID(encoded)
	olds := make(map[string]*pack.Release, len(from))
	for _, f := range from {
		old, _, err := PackRelease(ctx, f, "")
		if err != nil {
			return 0, nil, err
		}
		olds[pack.ID(old.Manifest)] = old
	}
	for _, p := range packs {
		if p.To != id {
			notes = append(notes, p.Path+" leads to another release")
			continue
		}
		data, err := readFile(ctx, src, p.Path, pack.MaxBytes)
		if err != nil {
			return checked, notes, err
		}
		old := olds[p.From]
		if p.From != "" && old == nil {
			if _, err := pack.Read(data); err != nil {
				return checked, notes, fmt.Errorf("%s: %w", p.Path, err)
			}
			notes = append(notes, p.Path+" was not applied: the release that it leads from is not at hand")
			continue
		}
		made, err := pack.Apply(ctx, data, old)
		if err != nil {
			return checked, notes, fmt.Errorf("%s: %w", p.Path, err)
		}
		if !bytes.Equal(made.Manifest, encoded) {
			return checked, notes, fmt.Errorf("%s: %w: it makes release %s", p.Path, ErrContent, pack.ID(made.Manifest))
		}
		checked++
	}
	return checked, notes, nil
}
