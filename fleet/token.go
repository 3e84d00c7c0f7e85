package fleet

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

const secretBytes = 32

// BoardToken returns the token of a board. It is derived, so that a server needs
// no list of tokens to check one, and nobody can make the token of one board from
// that of another.
func (e *Enrolment) BoardToken(app, board string) string {
	mac := hmac.New(sha256.New, e.Secret)
	mac.Write([]byte("saguarota-board-1\x00" + app + "\x00" + board))
	return "sgb_" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:24])
}

// CheckBoardToken reports whether token is the board's, in a time that does not
// tell how much of it is right. The error is ErrUnauthorized.
func (e *Enrolment) CheckBoardToken(app, board, token string) error {
	if token == "" {
		return fmt.Errorf("%w: the board %q of %q shows none", ErrUnauthorized, board, app)
	}
	if subtle.ConstantTimeCompare([]byte(e.BoardToken(app, board)), []byte(token)) != 1 {
		return fmt.Errorf("%w: what is shown is not that of the board %q of %q", ErrUnauthorized, board, app)
	}
	return nil
}

// A Scope is what a token of a person or a program allows. Each includes those
// before it.
type Scope string

const (
	ScopeRead    Scope = "read"    // see everything but tokens
	ScopePublish Scope = "publish" // and publish releases
	ScopeManage  Scope = "manage"  // and steer channels, rollouts and boards
	ScopeAdmin   Scope = "admin"   // and applications and tokens
)

var scopes = []Scope{ScopeRead, ScopePublish, ScopeManage, ScopeAdmin}

// ParseScope reads the name of a scope. The error is ErrInvalid.
func ParseScope(text string) (Scope, error) {
	if !slices.Contains(scopes, Scope(text)) {
		return "", fmt.Errorf("%w: there is no scope %q; there are read, publish, manage and admin", ErrInvalid, text)
	}
	return Scope(text), nil
}

// Allows reports whether a token of scope s may do what takes the scope want.
func (s Scope) Allows(want Scope) bool {
	have, need := slices.Index(scopes, s), slices.Index(scopes, want)
	return need >= 0 && have >= need
}

// A Token lets a person or a program use the administration. The token itself is
// shown once, when it is made; only its hash is kept.
type Token struct {
	ID      int64
	Name    string // who has it: the actor in the audit log
	Hash    [sha256.Size]byte
	Scope   Scope
	Created time.Time
	Expires time.Time // zero: never
	Revoked time.Time // zero: it is valid
}

const tokenPrefix = "sga_"

// NewToken makes a token of 32 random bytes, which is returned for its owner and
// not part of the Token.
func NewToken(random [32]byte, name string, scope Scope, now, expires time.Time) (Token, string, error) {
	if err := CheckName("the token's name", name); err != nil {
		return Token{}, "", err
	}
	if _, err := ParseScope(string(scope)); err != nil {
		return Token{}, "", err
	}
	if !expires.IsZero() && !expires.After(now) {
		return Token{}, "", fmt.Errorf("%w: the token would expire before it is made", ErrInvalid)
	}
	secret := tokenPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	return Token{Name: name, Hash: HashToken(secret), Scope: scope, Created: now, Expires: expires}, secret, nil
}

// HashToken returns what is kept of a token. A token is as random as a key, so a
// plain hash is enough: there is nothing to guess.
func HashToken(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

// LooksLikeToken reports whether text has the form of a token of a person or a
// program, so that what cannot be one is refused without asking the database.
func LooksLikeToken(text string) bool {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	return ok && err == nil && len(raw) == 32
}

// Check reports whether the token may do what takes the scope want. Errors are
// ErrUnauthorized and ErrForbidden.
func (t *Token) Check(now time.Time, want Scope) error {
	switch {
	case !t.Revoked.IsZero():
		return fmt.Errorf("%w: that of %q was revoked", ErrUnauthorized, t.Name)
	case !t.Expires.IsZero() && !now.Before(t.Expires):
		return fmt.Errorf("%w: that of %q has expired", ErrUnauthorized, t.Name)
	case !t.Scope.Allows(want):
		return fmt.Errorf("%w: that of %q has the scope %s, and this takes %s", ErrForbidden, t.Name, t.Scope, want)
	}
	return nil
}
