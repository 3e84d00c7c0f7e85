// Package blob keeps the files of releases: in a folder, or in any store that
// speaks S3.
//
// A blob is named by the SHA-256 of its content, so it never changes, equal files
// of all releases are stored once, and whatever has the name and another content is
// damaged, which readers notice.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"regexp"
	"strings"
)

// A Sum names a blob: the SHA-256 of its content.
type Sum [sha256.Size]byte

// String returns the sum in 64 hexadecimal digits in lower case.
func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// SumOf returns the name of content.
func SumOf(content []byte) Sum { return sha256.Sum256(content) }

// ParseSum reads what String returns, and nothing else.
func ParseSum(text string) (Sum, error) {
	var s Sum
	if len(text) != hex.EncodedLen(len(s)) || strings.ToLower(text) != text {
		return s, fmt.Errorf("%q is no SHA-256 in %d hexadecimal digits", text, hex.EncodedLen(len(s)))
	}
	if _, err := hex.Decode(s[:], []byte(text)); err != nil {
		return s, fmt.Errorf("%q is no SHA-256: %w", text, err)
	}
	return s, nil
}

// ErrContent: what was to be stored, or is stored, does not have the SHA-256 or the
// size that it should have.
var ErrContent = errors.New("not the content that it should be")

// A Store keeps blobs. It is safe for concurrent use, also by several servers.
type Store interface {
	// Put stores a blob of size bytes: all of r, or nothing where r has other
	// content than sum and size say (ErrContent) or fails. It is durable when Put
	// returns. A blob that is there already stays, unless it is damaged.
	Put(ctx context.Context, sum Sum, size int64, r io.Reader) error

	// Open opens a blob and returns its size. The error is fs.ErrNotExist if there
	// is none. What is read is not verified.
	Open(ctx context.Context, sum Sum) (io.ReadSeekCloser, int64, error)

	// Delete removes a blob. That there is none is no error.
	Delete(ctx context.Context, sum Sum) error

	// Ping reports whether blobs can be stored and read.
	Ping(ctx context.Context) error

	// String returns where the blobs are, for messages, without secrets.
	String() string
}

// begin matches how a URL begins. One letter alone is a drive of Windows.
var begin = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)

// Open returns the store at where: "s3://…", which OpenS3 explains, or a folder. What
// looks like another URL is no folder's name.
func Open(where string) (Store, error) {
	scheme := strings.ToLower(begin.FindString(where))
	switch {
	case scheme == "":
		return OpenFolder(where)
	case scheme != "s3:" || !strings.HasPrefix(where[len(scheme):], "//"):
		return nil, fmt.Errorf("open the blobs: %s… is neither a URL s3://BUCKET/PREFIX nor the name of a folder", scheme)
	}
	return OpenS3(where)
}

// Get returns the content of a blob that has at most limit bytes, verified. The
// error is fs.ErrNotExist if there is none, ErrContent if it is damaged or longer.
func Get(ctx context.Context, s Store, sum Sum, limit int64) ([]byte, error) {
	r, size, err := s.Open(ctx, sum)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > limit {
		return nil, fmt.Errorf("read the blob %v of %v: %w: %d bytes, more than %d", sum, s, ErrContent, size, limit)
	}
	data := make([]byte, size)
	v := verify(r, sum, size)
	if _, err = io.ReadFull(v, data); err == nil {
		err = v.finish() // of nothing, nobody has read anything yet
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: it ends early", ErrContent)
	}
	if err != nil {
		return nil, fmt.Errorf("read the blob %v of %v: %w", sum, s, err)
	}
	return data, nil
}

// Verify reads a blob, however long, and reports whether it is what it should be:
// ErrContent, or fs.ErrNotExist.
func Verify(ctx context.Context, s Store, sum Sum) error {
	r, size, err := s.Open(ctx, sum)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, verify(r, sum, size)); err != nil {
		return fmt.Errorf("verify the blob %v of %v: %w", sum, s, err)
	}
	return nil
}

// isThere reports whether a blob is there, whole and undamaged.
func isThere(ctx context.Context, s Store, sum Sum, size int64) (bool, error) {
	r, have, err := s.Open(ctx, sum)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer r.Close()
	if have != size {
		return false, nil
	}
	if _, err := io.Copy(io.Discard, verify(r, sum, size)); err != nil {
		if errors.Is(err, ErrContent) {
			return false, nil
		}
		return false, err
	}
	return true, nil
}

// verify returns a reader of r that fails instead of delivering the last byte if r
// has not exactly the size and the sum. So nobody who reads to the end, or by the
// size, takes damaged content for whole.
func verify(r io.Reader, sum Sum, size int64) *verifier {
	return &verifier{r: r, sum: sum, left: size, hash: sha256.New()}
}

type verifier struct {
	r    io.Reader
	sum  Sum
	left int64 // bytes still to be delivered
	hash hash.Hash
	done bool // they were verified
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.left == 0 {
		if err := v.finish(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := v.r.Read(p[:min(int64(len(p)), v.left)])
	v.hash.Write(p[:n])
	v.left -= int64(n)
	switch {
	case v.left == 0:
		if err := v.finish(); err != nil {
			return 0, err
		}
		return n, nil
	case errors.Is(err, io.EOF):
		return 0, fmt.Errorf("%w: it ends %d bytes early", ErrContent, v.left)
	}
	return n, err
}

func (v *verifier) finish() error {
	if v.done {
		return nil
	}
	if got := Sum(v.hash.Sum(nil)); got != v.sum {
		return fmt.Errorf("%w: its SHA-256 is %v, not %v", ErrContent, got, v.sum)
	}
	var more [1]byte
	switch n, err := io.ReadFull(v.r, more[:]); {
	case n > 0:
		return fmt.Errorf("%w: it goes on after the end", ErrContent)
	case !errors.Is(err, io.EOF):
		return err
	}
	v.done = true
	return nil
}
