package simulate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

// fetch gets the manifest and the files of what is offered, and checks them as far as
// the statement pins them. Whether that is signed is for real boards to check.
func (p *player) fetch(ctx context.Context, r *fleet.Report, offer *release.Statement) error {
	status, encoded, err := p.get(ctx, release.ManifestName, r, offer.Manifest.Size)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the server answers %d", status)
	}
	if err == nil && release.PinOf(encoded) != offer.Manifest {
		err = release.ErrContent
	}
	if err != nil {
		return fmt.Errorf("the manifest of version %d: %w", offer.Version, err)
	}
	m, err := manifest.Read(bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	for _, f := range m.Files {
		parts := strings.Split(f.Path, "/")
		for i := range parts {
			parts[i] = url.PathEscape(parts[i])
		}
		status, content, err := p.get(ctx, strings.Join(parts, "/"), r, f.Size)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("the server answers %d", status)
		}
		if sum := sha256.Sum256(content); err == nil && hex.EncodeToString(sum[:]) != strings.ToLower(f.SHA256) {
			err = release.ErrContent
		}
		if err != nil {
			return fmt.Errorf("%s of version %d: %w", f.Path, offer.Version, err)
		}
		p.result.Files++
	}
	return nil
}
