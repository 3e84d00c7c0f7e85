package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

// Bounds of a request for the administration.
const (
	maxJSON = manifest.MaxBytes + 1<<20 // a publication: a manifest, and what is around it
	maxBlob = 256 << 20
)

// adminTimeout is how long a call may take.
const adminTimeout = 10 * time.Minute

// admin answers the calls of the API.
type admin struct{ *Server }

var _ api.StrictServerInterface = admin{}

// handleAdmin adds the administration to mux. What a call takes is said in the
// OpenAPI document, and read from there.
func (s *Server) handleAdmin(mux *http.ServeMux) error {
	calls, err := operations()
	if err != nil {
		return err
	}
	scopes := map[string]fleet.Scope{}
	for _, c := range calls {
		scopes[c.pattern] = c.scope
	}
	strict := api.NewStrictHandlerWithOptions(admin{s}, nil, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: func(w http.ResponseWriter, _ *http.Request, err error) {
			writeError(w, http.StatusBadRequest, "invalid", err.Error())
		},
		ResponseErrorHandlerFunc: s.writeAdminError,
	})
	api.HandlerWithOptions(strict, api.StdHTTPServerOptions{
		BaseURL: api.Path, BaseRouter: mux,
		Middlewares: []api.MiddlewareFunc{func(next http.Handler) http.Handler { return s.authorize(scopes, next) }},
		ErrorHandlerFunc: func(w http.ResponseWriter, _ *http.Request, err error) {
			writeError(w, http.StatusBadRequest, "invalid", err.Error())
		},
	})
	mux.HandleFunc("GET /api/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(api.Document) // who asked has gone
	})
	return nil
}

// an operation is a call of the API.
type operation struct {
	id      string
	pattern string // that the mux knows it by
	scope   fleet.Scope
}

// operations returns all calls of the OpenAPI document, with the scopes that they take.
func operations() ([]operation, error) {
	var d struct {
		Paths map[string]map[string]struct {
			ID    string `json:"operationId"`
			Scope string `json:"x-scope"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(api.Document, &d); err != nil {
		return nil, fmt.Errorf("the OpenAPI document: %w", err)
	}
	var list []operation
	for path, calls := range d.Paths {
		for method, call := range calls {
			scope, err := fleet.ParseScope(call.Scope)
			if err != nil {
				return nil, fmt.Errorf("the OpenAPI document: %s %s: %w", method, path, err)
			}
			list = append(list, operation{call.ID, strings.ToUpper(method) + " " + api.Path + path, scope})
		}
	}
	return list, nil
}

// Keys of what a call's context knows.
type (
	actorKey  struct{}
	lengthKey struct{}
)

// authorize lets a call through that shows a token with the scope for it, before
// anything of its body is read.
func (s *Server) authorize(scopes map[string]fleet.Scope, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &patientReader{r.Body, http.NewResponseController(w), time.Now().Add(adminTimeout)}
		body.extend()
		w.Header().Set("Cache-Control", "no-store")
		scope, known := scopes[r.Pattern]
		if !known {
			s.writeAdminError(w, r, fmt.Errorf("the OpenAPI document does not have %s", r.Pattern))
			return
		}
		token, err := s.allowed(w, r, scope)
		if err != nil {
			_ = body.conn.SetReadDeadline(time.Now().Add(drain))
			return
		}
		if err := checkURL(r.URL); err != nil {
			_ = body.conn.SetReadDeadline(time.Now().Add(drain))
			s.writeAdminError(w, r, err)
			return
		}
		// Checking a large release takes its time.
		_ = body.conn.SetWriteDeadline(time.Now().Add(adminTimeout))
		ctx, cancel := context.WithTimeout(r.Context(), adminTimeout)
		defer cancel()
		ctx = context.WithValue(ctx, actorKey{}, token.Name)
		ctx = context.WithValue(ctx, lengthKey{}, r.ContentLength)
		r = r.WithContext(ctx)
		if r.Method == http.MethodPut && r.Header.Get("Content-Type") == "application/octet-stream" {
			r.Body = http.MaxBytesReader(w, body, maxBlob)
		} else {
			r.Body = &textReader{ReadCloser: http.MaxBytesReader(w, body, maxJSON)}
		}
		next.ServeHTTP(w, r)
	})
}

// allowed returns the token that a call shows, if it allows the scope. Otherwise it
// answers.
func (s *Server) allowed(w http.ResponseWriter, r *http.Request, scope fleet.Scope) (*fleet.Token, error) {
	from := s.from(r)
	if wait := s.limits.refused.full(from, s.now()); wait > 0 {
		s.metrics.limited.WithLabelValues("refused").Inc()
		retryAfter(w, wait)
		writeError(w, http.StatusTooManyRequests, "too many", "too many wrong tokens came from this address; Retry-After says when to try again")
		return nil, fleet.ErrUnauthorized
	}
	token, err := s.token(r, scope)
	if err != nil {
		if errors.Is(err, fleet.ErrUnauthorized) {
			s.limits.refused.take(from, s.now())
		}
		s.writeAdminError(w, r, err)
	}
	return token, err
}

// token returns the token that a call shows, if it allows the scope.
func (s *Server) token(r *http.Request, scope fleet.Scope) (*fleet.Token, error) {
	secret := bearer(r)
	if secret == "" {
		return nil, fmt.Errorf("%w: there is no header Authorization: Bearer …", fleet.ErrUnauthorized)
	}
	return s.secretToken(r.Context(), secret, scope)
}

// secretToken returns the token that secret is, if it allows the scope.
func (s *Server) secretToken(ctx context.Context, secret string, scope fleet.Scope) (*fleet.Token, error) {
	if !fleet.LooksLikeToken(secret) {
		return nil, fmt.Errorf("%w: that is none", fleet.ErrUnauthorized)
	}
	token, err := s.store.TokenByHash(ctx, fleet.HashToken(secret))
	if err != nil {
		return nil, err
	}
	return token, token.Check(s.now(), scope)
}

// actor returns who makes a call.
func (s *Server) actor(ctx context.Context) fleet.Actor {
	name, _ := ctx.Value(actorKey{}).(string)
	return fleet.Actor{Name: name, At: s.now()}
}

// refreshed makes what was changed known to this server at once.
func (s *Server) refreshed(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return s.Refresh(ctx)
}

// adminErrors say which errors are the caller's, and with what status.
var adminErrors = []struct {
	err    error
	status int
	word   string
}{
	{fleet.ErrUnauthorized, http.StatusUnauthorized, "unauthorized"},
	{fleet.ErrForbidden, http.StatusForbidden, "forbidden"},
	{fleet.ErrNotFound, http.StatusNotFound, "not found"},
	{fleet.ErrExists, http.StatusConflict, "exists"},
	{fleet.ErrFull, http.StatusConflict, "full"},
	{fleet.ErrOlder, http.StatusConflict, "older"},
	{fleet.ErrConflict, http.StatusConflict, "conflict"},
	{fleet.ErrState, http.StatusConflict, "state"},
	{fleet.ErrInvalid, http.StatusUnprocessableEntity, "invalid"},
	{blob.ErrContent, http.StatusUnprocessableEntity, "content"},
	{release.ErrFormat, http.StatusUnprocessableEntity, "release"},
	{release.ErrContent, http.StatusUnprocessableEntity, "release"},
	{release.ErrSignature, http.StatusUnprocessableEntity, "release"},
	{release.ErrThreshold, http.StatusUnprocessableEntity, "release"},
	{release.ErrApp, http.StatusUnprocessableEntity, "release"},
	{release.ErrSequence, http.StatusUnprocessableEntity, "release"},
	{release.ErrRoot, http.StatusUnprocessableEntity, "release"},
	{release.ErrRollback, http.StatusUnprocessableEntity, "release"},
	{release.ErrReserved, http.StatusUnprocessableEntity, "release"},
	{release.ErrKey, http.StatusUnprocessableEntity, "release"},
	{fs.ErrNotExist, http.StatusUnprocessableEntity, "missing"}, // a file that was not uploaded
}

// writeAdminError answers a call that fails. What is not the caller's fault goes to
// the log, and not to the caller.
func (s *Server) writeAdminError(w http.ResponseWriter, r *http.Request, err error) {
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		writeError(w, http.StatusRequestEntityTooLarge, "too long", fmt.Sprintf("the request has more than %d bytes", tooLong.Limit))
		return
	}
	status, word := ErrorStatus(err)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="saguarota"`)
		s.log.Warn("a call is refused", "remote", r.RemoteAddr, "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if status != http.StatusInternalServerError {
		writeError(w, status, word, err.Error())
		return
	}
	if r.Context().Err() == nil {
		s.log.Error("a call fails", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	writeError(w, status, word, "the server could not do it; its log says why")
}

func writeError(w http.ResponseWriter, status int, word, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Error{Error: word, Message: message}) // who asked has gone
}

// a patientReader gives a client time for every piece of a request's body, and some
// for the whole.
type patientReader struct {
	io.ReadCloser
	conn *http.ResponseController
	last time.Time
}

func (r *patientReader) extend() {
	next := time.Now().Add(patience)
	if next.After(r.last) {
		next = r.last
	}
	_ = r.conn.SetReadDeadline(next) // writers of tests have none to set
}

// Read implements io.Reader.
func (r *patientReader) Read(p []byte) (int, error) {
	r.extend()
	return r.ReadCloser.Read(p)
}
