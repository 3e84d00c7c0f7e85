package release

import (
	"context"

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
