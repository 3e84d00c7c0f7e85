// Package manifest builds, reads, compares and authenticates versions.json,
// the list of files that make up a release.
//
// A board polls the manifest. Where its version is greater than that of the
// manifest the board has installed, the board fetches the files whose own
// version grew and checks each against its MD5 (and SHA-256, where given):
//
//	{
//	  "version": 1700000000,
//	  "files": [
//	    {"path": "main.py", "version": 1700000000, "md5": "…", "size": 123, "sha256": "…"}
//	  ],
//	  "signature": "…"
//	}
//
// Versions are integers that only grow: seconds since 1970, of the file's last
// change or of the commit that made it. The signature is optional: an
// HMAC-SHA256, in hex, under a secret that the boards share with the builder.
// It covers the version and every file's path, version and MD5, so it also
// pins the content of every file; it does not cover app, size and sha256,
// which boards with the first version of the library do not know.
//
// [Build] makes a manifest from a folder, [Read] and [Manifest.Encode] convert
// from and to JSON, [Manifest.Sign] and [Manifest.Verify] handle the HMAC, and
// [Compare] tells two releases apart. A [Scanner] is Build for a server that
// answers again and again for one folder.
package manifest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits that [Read] enforces on what it is given and [Build] on what it makes.
const (
	MaxFiles     = 100_000  // entries in one manifest
	MaxPathBytes = 255      // bytes in one path, the longest name that littlefs and FAT hold
	MaxBytes     = 64 << 20 // bytes of JSON
)

// DefaultSignatureField is the JSON key that holds the signature unless
// another is asked for.
const DefaultSignatureField = "signature"

// Errors to test for with [errors.Is]. What the functions of this package
// return wraps them with the path or the place in the JSON that is to blame.
var (
	// ErrFormat: the bytes are not a manifest. Not JSON, a key is missing, a
	// value has the wrong type or range, a key is given twice, or there is
	// something after the end.
	ErrFormat = errors.New("not a valid manifest")

	// ErrTooLarge: more than MaxBytes of JSON, more than MaxFiles entries.
	ErrTooLarge = errors.New("manifest too large")

	// ErrPath: a path that a board must not write to. See [CheckPath].
	ErrPath = errors.New("unsafe path")

	// ErrDuplicate: a path is listed twice, or is a file and also the folder
	// of another file.
	ErrDuplicate = errors.New("duplicate path")

	// ErrCollision: two paths that differ only in case are one file on a FAT
	// file system.
	ErrCollision = errors.New("paths differ only in case")

	// ErrNotSigned: verification was asked for, but the manifest has no signature.
	ErrNotSigned = errors.New("manifest is not signed")

	// ErrSignature: the signature was made with another key, or the manifest
	// was changed after it was signed.
	ErrSignature = errors.New("manifest signature does not match")

	// ErrEmptyKey: an empty HMAC key, which would protect nothing.
	ErrEmptyKey = errors.New("the signing key is empty")
)

// A File is one file of a release.
type File struct {
	Path    string // canonical, relative, "/"-separated; see [CheckPath]
	Version int64  // seconds since 1970 by convention; grows when the content changes
	MD5     string // 32 hex digits, or empty: the content is not checked
	Size    int64  // bytes, or -1: unknown
	SHA256  string // 64 hex digits, or empty: unknown
}

// A Manifest is one release. Files are sorted by path in what Build returns;
// what Read returns is in the order of the JSON.
type Manifest struct {
	App     string // name of the application, or empty
	Version int64  // greater than that of the release before
	Files   []File

	Signature      string // hex, or empty: not signed
	SignatureField string // JSON key of Signature; empty means DefaultSignatureField
}

// Lookup returns the file with the given path.
func (m *Manifest) Lookup(path string) (File, bool) {
	for _, f := range m.Files {
		if f.Path == path {
			return f, true
		}
	}
	return File{}, false
}

// signedBytes returns what the signature is computed over. MD5s go in as they
// stand, in whatever case, because that is what the other side does too.
func (m *Manifest) signedBytes() []byte {
	files := m.Files
	byPath := func(a, b File) int { return strings.Compare(a.Path, b.Path) }
	if !slices.IsSortedFunc(files, byPath) {
		files = slices.Clone(files)
		slices.SortStableFunc(files, byPath)
	}
	b := make([]byte, 0, 32+len(files)*80)
	b = append(b, "v="...)
	b = strconv.AppendInt(b, m.Version, 10)
	for _, f := range files {
		b = append(b, '\n')
		b = append(b, f.Path...)
		b = append(b, '\t')
		b = strconv.AppendInt(b, f.Version, 10)
		b = append(b, '\t')
		b = append(b, f.MD5...)
	}
	return b
}

func (m *Manifest) mac(key []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(m.signedBytes())
	return h.Sum(nil)
}

// Sign sets m.Signature to the HMAC-SHA256 of m under key. It refuses an empty
// key (ErrEmptyKey) and a manifest that Validate refuses.
func (m *Manifest) Sign(key []byte) error {
	if len(key) == 0 {
		return ErrEmptyKey
	}
	if err := m.Validate(); err != nil {
		return fmt.Errorf("sign manifest: %w", err)
	}
	m.Signature = hex.EncodeToString(m.mac(key))
	return nil
}

// Verify reports whether m was signed with key: nil, ErrNotSigned or
// ErrSignature. It also refuses what Validate refuses, since two lists of
// files whose paths hold tabs and newlines could have one signature.
func (m *Manifest) Verify(key []byte) error {
	if len(key) == 0 {
		return ErrEmptyKey
	}
	if m.Signature == "" {
		return ErrNotSigned
	}
	if err := m.Validate(); err != nil {
		return fmt.Errorf("verify manifest: %w", err)
	}
	sig, err := hex.DecodeString(m.Signature)
	if err != nil || !hmac.Equal(sig, m.mac(key)) {
		return ErrSignature
	}
	return nil
}
