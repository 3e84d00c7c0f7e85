// Package pack makes and applies packs: one file that turns a release into the
// next, or makes a whole one.
//
// A board that has release A and wants B could get every changed file of B. A
// pack from A to B is about a tenth of that: it says which pieces of A's files
// to copy, and holds what is new. The board gets it in one request, keeps it in
// flash, and makes the files of B from it and from the files that it has, in a
// heap of a few kilobytes. The first thing in a pack is B's manifest, as a
// difference from A's, so that nothing else has to be fetched.
//
//	pack    = "otapack" 1 window segment* 0
//	segment = length last end data             data is raw DEFLATE of records and a 0
//	record  = tag step … n triple*             a file, or a part of it
//	triple  = literal bytes; then a piece of the base, as it is or with differences
//
// A pack is transport and nothing more. Nothing in it is signed; whatever it
// makes is compared with the manifest, by size and SHA-256, and the manifest with
// the statement that pins it. So any server may make packs, and a wrong one can
// waste time and no more.
//
// [Encode] makes a pack, [Apply] does what a board does with it, [Read] looks into
// one. All of them are given releases as a [Release]. docs/PROTOCOL.md has the
// format byte for byte, docs/PACKS.md the reasons for it.
package pack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cactuscon/saguarota/manifest"
)

// Errors to test for with errors.Is. What the functions of this package return
// wraps them with the place that is to blame.
var (
	// ErrFormat: not a pack, or one that breaks a rule of the format.
	ErrFormat = errors.New("not a valid pack")

	// ErrBase: a pack for another old release than the one that is there: it
	// copies what that has not.
	ErrBase = errors.New("the pack is for another old release")

	// ErrContent: what the pack makes, or a file of a release, does not have the
	// size or SHA-256 that the manifest says.
	ErrContent = errors.New("not what the manifest says")

	// ErrManifest: a release that no pack can lead to, because its manifest lacks
	// sizes or SHA-256s, or is not sorted.
	ErrManifest = errors.New("a manifest without sizes, SHA-256s or order")

	// ErrTooLarge: more than this package handles; see MaxBytes.
	ErrTooLarge = errors.New("too large")
)

// Windows, as powers of 2, that the format allows, and the one that boards can
// always spare.
const (
	MinWindow     = 10
	MaxWindow     = 15
	DefaultWindow = 12
)

// MaxBytes bounds a release, all files together, and a pack. Releases for boards
// are far smaller; hostile packs need not be.
const MaxBytes = 256 << 20

// Folder is the folder of a site in which its packs are.
const Folder = "packs"

const (
	magic   = "otapack"
	version = 1
)

// Base says what a record copies from.
type Base byte

// The kinds of base. The numbers are those of the format.
const (
	NoBase   Base = 1 // nothing: the whole file is in the pack
	SamePath Base = 2 // the file of the same path in the old release
	OldFile  Base = 3 // another file of the old release
	NewFile  Base = 4 // a file of the new release that comes before
)

// String returns a word or two, for people.
func (b Base) String() string {
	switch b {
	case NoBase:
		return "none"
	case SamePath:
		return "same path"
	case OldFile:
		return "old file"
	case NewFile:
		return "new file"
	}
	return fmt.Sprintf("base %d", byte(b))
}

// A Release is what a pack leads from or to.
type Release struct {
	// Manifest is the file versions.json, byte for byte as boards get it.
	Manifest []byte

	// Open opens the file with a path of the manifest. It may be called by
	// several goroutines at once.
	Open func(ctx context.Context, path string) (io.ReadCloser, error)
}

// ID returns the name of a release within those of packs: the first 16
// hexadecimal digits of the SHA-256 of its manifest.
func ID(manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return hex.EncodeToString(sum[:8])
}

// Name returns the path, in a site, of the pack that leads from one release to
// another, given by their manifests. A nil from is for the pack of the whole
// release.
func Name(from, to []byte) string {
	if from == nil {
		return Folder + "/" + ID(to)
	}
	return Folder + "/" + ID(from) + "-" + ID(to)
}

// ParseName returns the IDs in the path of a pack, as Name returns it; from is
// empty for the pack of a whole release. ok is false where it is no such path.
func ParseName(path string) (from, to string, ok bool) {
	name, ok := strings.CutPrefix(path, Folder+"/")
	if !ok {
		return "", "", false
	}
	from, to, two := strings.Cut(name, "-")
	if !two {
		from, to = "", from
	} else if !isID(from) {
		return "", "", false
	}
	return from, to, isID(to)
}

func isID(s string) bool {
	return len(s) == 16 && strings.Trim(s, "0123456789abcdef") == ""
}

// A release is a Release whose manifest was read.
type release struct {
	Release
	files []manifest.File
	index map[string]int // into files, by path
}

// open reads the manifest of a release.
func (r *Release) read() (*release, error) {
	m, err := manifest.Read(strings.NewReader(string(r.Manifest)))
	if err != nil {
		return nil, err
	}
	index := make(map[string]int, len(m.Files))
	for i, f := range m.Files {
		index[f.Path] = i
	}
	return &release{*r, m.Files, index}, nil
}

// check reports whether a pack can lead to r.
func (r *release) check() error {
	total := int64(len(r.Manifest))
	for i, f := range r.files {
		switch {
		case f.Size < 0:
			return fmt.Errorf("%w: %s has no size", ErrManifest, f.Path)
		case f.SHA256 == "":
			return fmt.Errorf("%w: %s has no SHA-256", ErrManifest, f.Path)
		case i > 0 && f.Path < r.files[i-1].Path:
			return fmt.Errorf("%w: %s comes after %s", ErrManifest, f.Path, r.files[i-1].Path)
		case f.Size > MaxBytes || total+f.Size > MaxBytes:
			return fmt.Errorf("release: %w: more than %d bytes", ErrTooLarge, MaxBytes)
		}
		total += f.Size
	}
	return nil
}

// content reads a file of r and compares it with the manifest, as far as that
// says anything.
func (r *release) content(ctx context.Context, path string) ([]byte, error) {
	f := r.files[r.index[path]]
	if f.Size > MaxBytes {
		return nil, fmt.Errorf("read %s: %w: %d bytes", path, ErrTooLarge, f.Size)
	}
	in, err := r.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	limit := int64(MaxBytes)
	if f.Size >= 0 {
		limit = f.Size
	}
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if err := checkContent(f, data); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}

// checkContent compares a file with its entry in a manifest.
func checkContent(f manifest.File, data []byte) error {
	if f.Size >= 0 && int64(len(data)) != f.Size {
		return fmt.Errorf("%w: %d bytes or more, not %d", ErrContent, len(data), f.Size)
	}
	if f.SHA256 != "" {
		if sum := sha256.Sum256(data); !strings.EqualFold(hex.EncodeToString(sum[:]), f.SHA256) {
			return fmt.Errorf("%w: the SHA-256 is %x, not %s", ErrContent, sum, f.SHA256)
		}
	}
	return nil
}

// same reports whether two entries are known to have the same content.
func same(a, b manifest.File) bool {
	return len(manifest.Compare(&manifest.Manifest{Files: []manifest.File{{Path: "f", MD5: a.MD5, SHA256: a.SHA256}}},
		&manifest.Manifest{Files: []manifest.File{{Path: "f", MD5: b.MD5, SHA256: b.SHA256}}})) == 0
}
