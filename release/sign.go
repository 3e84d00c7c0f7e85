package release

import (
	"context"
	"errors"
	"fmt"

	"github.com/cactuscon/saguarota/manifest"
)

// SignSite adds signatures to the statement of the site in a folder, by signers
// that may be elsewhere than who built it, and returns how many are still
// missing. It checks first that the statement fits the manifest beside it
// (ErrContent), so that nobody signs for other files than those he can look at,
// and that the signers are in the keyset which it names (ErrNoMember), where the site
// has that.
func SignSite(ctx context.Context, dir string, signers ...Signer) (s *Statement, doc *Document, missing int, err error) {
	src := Dir(dir)
	s, doc, err = SiteStatement(ctx, src)
	if err != nil {
		return nil, nil, 0, err
	}
	encoded, err := readFile(ctx, src, ManifestName, manifest.MaxBytes)
	if err != nil {
		return nil, nil, 0, err
	}
	if _, err := s.openManifest(encoded); err != nil {
		return nil, nil, 0, fmt.Errorf("%s of %s: %w", ManifestName, dir, err)
	}
	chain, err := ReadChain(ctx, src)
	if err != nil {
		return nil, nil, 0, err
	}
	threshold := 1
	if len(chain) > 0 {
		if s.Keyset > int64(len(chain)) {
			return nil, nil, 0, fmt.Errorf("%s of %s: %w: it names keyset %d, and the site has %d", StatementName, dir, ErrSequence, s.Keyset, len(chain))
		}
		keyset := chain[s.Keyset-1].Keyset
		if err := checkMembers(keyset, signers); err != nil {
			return nil, nil, 0, err
		}
		threshold = keyset.Threshold
	}
	for _, signer := range signers {
		if err := doc.Sign(ctx, signer); err != nil {
			return nil, nil, 0, err
		}
	}
	if err := publishInto(dir, []item{dataItem(StatementName, doc.Bytes())}, nil); err != nil {
		return nil, nil, 0, fmt.Errorf("write the statement of %s: %w", dir, err)
	}
	return s, doc, max(0, threshold-len(doc.signatures)), nil
}

// NewChain writes the first keyset of the site in the folder dir, which need not
// be there yet. Its Version is 1, whatever keyset says. If signers are still
// missing, the Link is Pending.
func NewChain(ctx context.Context, dir string, keyset Keyset, signers ...Signer) (Link, error) {
	chain, err := ReadChain(ctx, Dir(dir))
	if err != nil {
		return Link{}, err
	}
	if len(chain) > 0 {
		return Link{}, fmt.Errorf("%w: %s has keysets already", ErrSequence, dir)
	}
	keyset.Version = 1
	return addLink(ctx, dir, nil, &keyset, signers)
}

// ExtendChain writes the keyset that follows the last one of a site. If signers
// are still missing, the Link is Pending. Signatures of who is in neither of the
// two keysets are refused (ErrNoMember).
func ExtendChain(ctx context.Context, dir string, threshold int, keys []PublicKey, signers ...Signer) (Link, error) {
	chain, err := ReadChain(ctx, Dir(dir))
	if err != nil {
		return Link{}, err
	}
	if len(chain) == 0 {
		return Link{}, fmt.Errorf("%w: %s has no keysets", ErrNoKeysets, dir)
	}
	last := chain[len(chain)-1]
	if last.Pending != nil {
		return Link{}, fmt.Errorf("%s of %s: %w", KeysetName(last.Keyset.Version), dir, last.Pending)
	}
	if last.Keyset.Version == maxChain {
		return Link{}, fmt.Errorf("%w: %d keysets are the most", ErrSequence, maxChain)
	}
	next := &Keyset{App: last.Keyset.App, Version: last.Keyset.Version + 1, Threshold: threshold, Keys: keys}
	return addLink(ctx, dir, last.Keyset, next, signers)
}

// SignChain adds signatures to the last keyset of a site.
func SignChain(ctx context.Context, dir string, signers ...Signer) (Link, error) {
	chain, err := ReadChain(ctx, Dir(dir))
	if err != nil {
		return Link{}, err
	}
	if len(chain) == 0 {
		return Link{}, fmt.Errorf("%w: %s has no keysets", ErrNoKeysets, dir)
	}
	last := chain[len(chain)-1]
	var before *Keyset
	if n := len(chain); n > 1 {
		before = chain[n-2].Keyset
	}
	return signLink(ctx, dir, before, last.Keyset, last.Document, signers)
}

func addLink(ctx context.Context, dir string, before, keyset *Keyset, signers []Signer) (Link, error) {
	doc, err := keyset.Document()
	if err != nil {
		return Link{}, err
	}
	return signLink(ctx, dir, before, keyset, doc, signers)
}

// signLink signs a keyset and writes it.
func signLink(ctx context.Context, dir string, before, keyset *Keyset, doc *Document, signers []Signer) (Link, error) {
	for _, signer := range signers {
		id := signer.PublicKey().ID()
		if !keyset.Has(id) && (before == nil || !before.Has(id)) {
			return Link{}, fmt.Errorf("%w: %s is neither in keyset %d nor in the one before, so its signature would not count", ErrNoMember, id, keyset.Version)
		}
		if err := doc.Sign(ctx, signer); err != nil {
			return Link{}, err
		}
	}
	var err error
	if before == nil {
		_, err = keyset.Verify(doc)
	} else {
		_, err = before.Next(doc)
	}
	if err != nil && !errors.Is(err, ErrThreshold) {
		return Link{}, err
	}
	link := Link{keyset, doc, err}
	if err := publish(dir, []item{dataItem(KeysetName(keyset.Version), doc.Bytes())}, nil); err != nil {
		return Link{}, fmt.Errorf("write %s of %s: %w", KeysetName(keyset.Version), dir, err)
	}
	return link, nil
}
