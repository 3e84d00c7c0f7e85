package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
	"github.com/cactuscon/saguarota/manifest"
)

// PagesPath is where the pages for people are, below a server's URL.
const PagesPath = "/ui/"

// SetPages has h answer what is below PagesPath, and "/" lead there. It is called
// before the first request.
func (s *Server) SetPages(h http.Handler) { s.pages = h }

// servePages answers people with browsers.
func (s *Server) servePages(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.pages == nil:
		writeText(w, http.StatusNotFound, "this server has no pages; its API is described in /api/openapi.json")
	case r.URL.Path == "/":
		http.Redirect(w, r, PagesPath, http.StatusSeeOther)
	default:
		s.pages.ServeHTTP(w, r)
	}
}

// API returns the administration for callers in this process, with contexts of As.
// They have checked that the token allows what they call: see OperationScopes.
func (s *Server) API() api.StrictServerInterface { return admin{s} }

// As returns a context for calls that are made for whoever has the token.
func As(ctx context.Context, token *fleet.Token) context.Context {
	return context.WithValue(ctx, actorKey{}, token.Name)
}

// OperationScopes returns the scope that each operation of the API takes, by its ID in
// the OpenAPI document.
func OperationScopes() (map[string]fleet.Scope, error) {
	calls, err := operations()
	if err != nil {
		return nil, err
	}
	scopes := map[string]fleet.Scope{}
	for _, c := range calls {
		scopes[c.id] = c.scope
	}
	return scopes, nil
}

// SignIn returns the token that secret is, if it allows to read. Wrong ones count for
// the address that r comes from like those of calls: where there were too many, the
// error is fleet.ErrUnauthorized and wait says when to try again.
func (s *Server) SignIn(r *http.Request, secret string) (token *fleet.Token, wait time.Duration, err error) {
	from := s.from(r)
	if wait := s.limits.refused.full(from, s.now()); wait > 0 {
		s.metrics.limited.WithLabelValues("refused").Inc()
		return nil, wait, fmt.Errorf("%w: too many wrong ones came from this address", fleet.ErrUnauthorized)
	}
	token, err = s.secretToken(r.Context(), secret, fleet.ScopeRead)
	if errors.Is(err, fleet.ErrUnauthorized) {
		s.limits.refused.take(from, s.now())
		s.log.Warn("a sign-in is refused", "remote", r.RemoteAddr, "error", err)
	}
	return token, 0, err
}

// Secure reports whether a request has come by HTTPS, to this server or, if one of
// Config.Proxies says so, to that.
func (s *Server) Secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	at := remote.Addr().Unmap()
	return err == nil && r.Header.Get("X-Forwarded-Proto") == "https" &&
		slices.ContainsFunc(s.proxies, func(p netip.Prefix) bool { return p.Contains(at) })
}

// Polls returns how many polls this server has answered since it started.
func (s *Server) Polls() int64 { return s.polled.Load() }

// Manifest returns the manifest of a release: fleet.ErrNotFound if there is no such.
func (s *Server) Manifest(ctx context.Context, app string, version int64) (*manifest.Manifest, error) {
	v, err := admin{s}.known(ctx, app)
	if err != nil {
		return nil, err
	}
	rel := v.Releases[version]
	if rel == nil {
		return nil, fmt.Errorf("%w: the release %d of %q", fleet.ErrNotFound, version, app)
	}
	m, err := s.manifests.get(ctx, s.blobs, rel.Statement.Manifest)
	if err != nil {
		return nil, fmt.Errorf("the manifest of the release %d of %q: %w", version, app, err)
	}
	return m, nil
}

// ErrorStatus returns the status and the word for an error of the API. What is not the
// caller's fault is 500, "internal".
func ErrorStatus(err error) (status int, word string) {
	for _, known := range adminErrors {
		if errors.Is(err, known.err) {
			return known.status, known.word
		}
	}
	return http.StatusInternalServerError, "internal"
}
