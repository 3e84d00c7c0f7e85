package httpapi

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/cactuscon/saguarota/fleet"
)

// checkURL reports whether what a URL says is text: not every database takes what is
// not UTF-8, or the byte 0. The error is fleet.ErrInvalid.
func checkURL(u *url.URL) error {
	texts := []string{u.Path}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fmt.Errorf("%w: what follows the ? in the URL: %w", fleet.ErrInvalid, err)
	}
	for name, values := range query {
		texts = append(append(texts, name), values...)
	}
	for _, text := range texts {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return fmt.Errorf("%w: the URL has bytes that are no text: %q", fleet.ErrInvalid, text)
		}
	}
	return nil
}

// a textReader reads JSON, and fails where a text in it has the character zero, which not
// every database takes.
type textReader struct {
	io.ReadCloser
	at int // how much of an escape there was: 0 to 5 of the 6 characters
}

// zero is the character, as JSON writes it. The byte itself is no JSON.
const zero = `\u0000`

// Read implements io.Reader.
func (r *textReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	for _, c := range p[:n] {
		switch {
		case c == zero[r.at]:
			r.at++
		case r.at != 1 && c == zero[0]: // an escape begins; behind one, it is the end of that
			r.at = 1
		default:
			r.at = 0
		}
		if r.at == len(zero) {
			return 0, fmt.Errorf("%w: a text in the request has the character zero", fleet.ErrInvalid)
		}
	}
	return n, err
}
