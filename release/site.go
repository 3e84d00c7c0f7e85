package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cactuscon/saguarota/manifest"
)

// Names of the files of a site that are no files of the release.
const (
	ManifestName  = "versions.json"
	StatementName = "versions.json.sig"
	keysFolder    = "keys"
	packsFolder   = "packs"
)

// KeysetName returns the path of the n-th keyset within a site.
func KeysetName(n int64) string { return keysFolder + "/" + strconv.FormatInt(n, 10) + ".json" }

// checkPath reports whether a file of a release can lie at path, beside what
// belongs to the protocol in a site and, by the names that boards give it unless they are
// told others, on a board. File systems that ignore case must be able to hold both.
func checkPath(path string) error {
	top, _, below := strings.Cut(strings.ToLower(path), "/")
	switch {
	case strings.TrimRight(top, "0123456789") == "saguarota_backup", top == "ota_state.txt" && !below:
		return fmt.Errorf("%w: %q is where boards keep the state of an update", ErrReserved, path)
	case top == ManifestName, top == StatementName, top == keysFolder, top == packsFolder, strings.HasPrefix(top, stagingPrefix):
		return fmt.Errorf("%w: %q belongs to the update protocol", ErrReserved, path)
	}
	return nil
}

// A Source is a site to read from. The files in it are not to be believed.
type Source interface {
	// Open opens the file with the "/"-separated path. The error is
	// fs.ErrNotExist, wrapped, if there is none.
	Open(ctx context.Context, path string) (io.ReadCloser, error)

	// String returns where the site is, for messages.
	String() string
}

// Dir is a Source: the site in a folder.
type Dir string

// String implements Source.
func (d Dir) String() string { return string(d) }

// Open implements Source. A link that leads out of the folder is an error.
func (d Dir) Open(_ context.Context, path string) (io.ReadCloser, error) {
	f, err := os.OpenInRoot(string(d), filepath.FromSlash(path))
	if err != nil {
		if p := (*fs.PathError)(nil); errors.As(err, &p) {
			p.Op, p.Path = "open", filepath.Join(string(d), filepath.FromSlash(path)) // which folder it is about
		}
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: filepath.Join(string(d), filepath.FromSlash(path)), Err: errors.New("not a file")}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// A URLSource is a Source: the site under an http or https URL.
type URLSource struct {
	base   *url.URL
	client *http.Client
}

// requestTimeout is how long one file may take.
const requestTimeout = 5 * time.Minute

// maxRedirects is how many redirects boards follow, and so does this.
const maxRedirects = 5

// NewURLSource returns the site under base, which is an http or https URL. It
// follows redirects as a board does: five at most, none from https to http.
func NewURLSource(base string) (*URLSource, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("site: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("site %q: not an http or https URL", base)
	}
	u.RawQuery, u.Fragment = "", ""
	return &URLSource{base: u, client: &http.Client{
		Timeout: requestTimeout,
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
				return errors.New("redirected from https to " + req.URL.Scheme)
			}
			return nil
		},
	}}, nil
}

// String implements Source.
func (s *URLSource) String() string { return s.base.Redacted() }

// Open implements Source.
func (s *URLSource) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	u := s.base.JoinPath(strings.Split(escapeDots(path), "/")...)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	_ = resp.Body.Close()
	err = fmt.Errorf("GET %s: %w %s", u.Redacted(), ErrAnswer, resp.Status)
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone {
		err = &fs.PathError{Op: "get", Path: u.Redacted(), Err: fs.ErrNotExist}
	}
	return nil, err
}

// escapeDots returns a path in the form that JoinPath takes, which is escaped.
func escapeDots(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// OpenSource returns the site at a URL or in a folder.
func OpenSource(where string) (Source, error) {
	if scheme, _, ok := strings.Cut(where, "://"); ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) {
		return NewURLSource(where)
	}
	return Dir(where), nil
}

// readFile reads a whole file that has at most limit bytes.
func readFile(ctx context.Context, src Source, path string, limit int64) ([]byte, error) {
	r, err := src.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", path, src, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %s of %s: %w: more than %d bytes", path, src, ErrFormat, limit)
	}
	return data, nil
}

// SiteStatement reads the statement of a site. It verifies nothing. The error
// is fs.ErrNotExist where the site is unsigned.
func SiteStatement(ctx context.Context, src Source) (*Statement, *Document, error) {
	data, err := readFile(ctx, src, StatementName, MaxStatementBytes)
	if err != nil {
		return nil, nil, err
	}
	s, d, err := ReadStatement(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s of %s: %w", StatementName, src, err)
	}
	return s, d, nil
}

// SiteManifest reads the manifest of a site, and the bytes of it. It verifies
// nothing.
func SiteManifest(ctx context.Context, src Source, signatureField string) (*manifest.Manifest, []byte, error) {
	data, err := readFile(ctx, src, ManifestName, manifest.MaxBytes)
	if err != nil {
		return nil, nil, err
	}
	m, err := readManifest(data, signatureField)
	if err != nil {
		return nil, nil, fmt.Errorf("%s of %s: %w", ManifestName, src, err)
	}
	return m, data, nil
}

func readManifest(data []byte, signatureField string) (*manifest.Manifest, error) {
	if signatureField == "" {
		signatureField = manifest.DefaultSignatureField
	}
	return manifest.ReadField(strings.NewReader(string(data)), signatureField)
}

// A Link is one keyset of a site's chain.
type Link struct {
	Keyset   *Keyset
	Document *Document

	// Pending is the ErrThreshold of a last keyset that still lacks
	// signatures. Boards refuse it.
	Pending error
}

// maxChain is how many keysets ReadChain reads: a server may make up keysets, and
// sign them with keys of its own, without end.
const maxChain = 1000

// ReadChain reads the keysets of a site, from the first to the last. Each
// must follow the one before; only the last may lack signatures. That the first
// is the right one is for the caller to check: a server can have replaced all.
// A site without keysets has an empty chain.
func ReadChain(ctx context.Context, src Source) ([]Link, error) {
	var chain []Link
	for n := int64(1); ; n++ {
		data, err := readFile(ctx, src, KeysetName(n), MaxKeysetBytes)
		if errors.Is(err, fs.ErrNotExist) {
			return chain, nil
		}
		if err != nil {
			return nil, err
		}
		link, err := readLink(data, n, chain)
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", KeysetName(n), src, err)
		}
		if n > maxChain {
			return nil, fmt.Errorf("%s of %s: %w: more than %d keysets", KeysetName(n), src, ErrFormat, maxChain)
		}
		chain = append(chain, link)
	}
}

func readLink(data []byte, n int64, chain []Link) (Link, error) {
	keyset, doc, err := ReadKeyset(data)
	if err != nil {
		return Link{}, err
	}
	if keyset.Version != n {
		return Link{}, fmt.Errorf("%w: it says that it is keyset %d", ErrSequence, keyset.Version)
	}
	if n == 1 {
		_, err = keyset.Verify(doc)
	} else {
		before := chain[len(chain)-1]
		if before.Pending != nil {
			return Link{}, fmt.Errorf("%w: the keyset before it lacks signatures", ErrSequence)
		}
		_, err = before.Keyset.Next(doc)
	}
	if err != nil && !errors.Is(err, ErrThreshold) {
		return Link{}, err
	}
	return Link{keyset, doc, err}, nil
}
