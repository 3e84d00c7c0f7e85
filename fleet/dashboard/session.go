package dashboard

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
)

// A session is in its cookie, and nowhere else: the token itself and when the session
// ends, sealed with a key that is made of the token's hash. So
//
//   - all servers that share a database know it, and none has to remember it;
//   - whoever gets the cookie has a session for some hours, and not the token;
//   - whoever reads the database has the hashes, and can make no cookie of them;
//   - a token that is revoked or expires takes its sessions with it at once.
type session struct {
	token   *fleet.Token
	expires time.Time
	nonce   []byte // of the seal: no two sessions have the same
}

// sessionTime is how long a session lasts.
const sessionTime = 12 * time.Hour

// Names of the cookie. Browsers take the first only by HTTPS, and from no other host.
const (
	secureCookie = "__Host-saguarota"
	plainCookie  = "saguarota"
)

// sessionKey returns the AEAD of the sessions of a token, and what forms of them are
// known by.
func sessionKey(t *fleet.Token, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, t.Hash[:], nil, "saguarota-dashboard-1 "+purpose, 32)
	if err != nil {
		panic(err) // a length that HKDF cannot have
	}
	return key
}

func sessionSeal(t *fleet.Token) cipher.AEAD {
	block, err := aes.NewCipher(sessionKey(t, "session"))
	if err != nil {
		panic(err) // a key of another length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// sealSession returns the value of a cookie.
func sealSession(t *fleet.Token, secret string, expires time.Time) string {
	plain := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))
	id := strconv.FormatInt(t.ID, 10)
	sealed := sessionSeal(t).Seal(nil, nil, append(plain, secret...), []byte(id))
	return id + "." + base64.RawURLEncoding.EncodeToString(sealed)
}

const maxCookie = 512

// openSession reads the value of a cookie. The error is fleet.ErrUnauthorized.
func openSession(tokens []fleet.Token, value string, now time.Time) (*session, error) {
	id, rest, _ := strings.Cut(value, ".")
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	n, numErr := strconv.ParseInt(id, 10, 64)
	if err != nil || numErr != nil || len(value) > maxCookie || len(sealed) < 12 {
		return nil, fmt.Errorf("%w: the cookie is none of this server's", fleet.ErrUnauthorized)
	}
	for i := range tokens {
		t := &tokens[i]
		if t.ID != n {
			continue
		}
		plain, err := sessionSeal(t).Open(nil, nil, sealed, []byte(id))
		if err != nil || len(plain) < 8 {
			break
		}
		s := &session{token: t, expires: time.Unix(int64(binary.BigEndian.Uint64(plain)), 0), nonce: sealed[:12]}
		hash := fleet.HashToken(string(plain[8:]))
		if subtle.ConstantTimeCompare(hash[:], t.Hash[:]) != 1 {
			break
		}
		if !now.Before(s.expires) {
			return nil, fmt.Errorf("%w: the sign-in has expired", fleet.ErrUnauthorized)
		}
		return s, t.Check(now, fleet.ScopeRead)
	}
	return nil, fmt.Errorf("%w: the cookie is none of this server's", fleet.ErrUnauthorized)
}

// form returns what forms of the session carry, so that no other site can make one.
func (s *session) form() string {
	sum := sha256.Sum256(append(sessionKey(s.token, "form"), s.nonce...))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s *session) checkForm(value string) bool {
	return subtle.ConstantTimeCompare([]byte(value), []byte(s.form())) == 1
}

// authenticate finds out who asks.
func (q *request) authenticate() error {
	name := plainCookie
	if q.d.server.Secure(q.r) {
		name = secureCookie
	}
	cookie, err := q.r.Cookie(name)
	if err != nil {
		return fmt.Errorf("%w: nobody is signed in", fleet.ErrUnauthorized)
	}
	tokens, err := q.d.store.Tokens(q.r.Context())
	if err != nil {
		return err
	}
	if q.session, err = openSession(tokens, cookie.Value, q.d.now()); err != nil {
		return err
	}
	q.token = q.session.token
	return nil
}

// setCookie makes the browser keep a session, or forget it where value is "".
func (q *request) setCookie(value string) {
	c := &http.Cookie{Name: plainCookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(sessionTime / time.Second)}
	if q.d.server.Secure(q.r) {
		c.Name, c.Secure = secureCookie, true
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(q.w, c)
}

// signInData is what the page for signing in shows.
type signInData struct {
	Next, Problem, Hint string
}

// next returns where to go after signing in: a page of ours, whatever r asks for.
func next(r *http.Request) string {
	to := r.FormValue("next")
	if !strings.HasPrefix(to, httpapi.PagesPath) || strings.ContainsAny(to, "\\\r\n") || strings.HasPrefix(to, httpapi.PagesPath+"sign-") || strings.HasPrefix(to, httpapi.PagesPath+"live/") {
		return httpapi.PagesPath
	}
	return to
}

// toSignIn asks who is there.
func (q *request) toSignIn() {
	to := httpapi.PagesPath + "sign-in"
	if q.r.Method == http.MethodGet && q.r.URL.Path != httpapi.PagesPath {
		to += "?" + queryOf("next", q.r.URL.RequestURI())
	}
	http.Redirect(q.w, q.r, to, http.StatusSeeOther)
}

func (d *Dashboard) showSignIn(w http.ResponseWriter, r *http.Request) {
	q := &request{d: d, w: w, r: r}
	data := signInData{Next: next(r)}
	if r.FormValue("again") != "" {
		data.Problem, data.Hint = "The sign-in has ended.", "It lasts 12 hours, and ends with its token. Sign in again."
	}
	q.render(http.StatusOK, view{Template: "signin", Title: "Sign in", Data: data})
}

func (d *Dashboard) signIn(w http.ResponseWriter, r *http.Request) {
	q := &request{d: d, w: w, r: r}
	if err := r.ParseForm(); err != nil {
		d.showProblem(q, http.StatusBadRequest, err)
		return
	}
	secret := strings.TrimSpace(r.PostFormValue("token"))
	token, wait, err := d.server.SignIn(r, secret)
	data := signInData{Next: next(r)}
	status, _ := httpapi.ErrorStatus(err)
	switch {
	case err == nil:
		expires := d.now().Add(sessionTime)
		q.setCookie(sealSession(token, secret, expires))
		http.Redirect(w, r, data.Next, http.StatusSeeOther)
		return
	case wait > 0:
		status = http.StatusTooManyRequests
		seconds := int(wait/time.Second) + 1
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		data.Problem = "Too many wrong tokens came from this address."
		data.Hint = fmt.Sprintf("Wait %d s, then try again.", seconds)
	case status == http.StatusUnauthorized:
		data.Problem = "This token does not open the dashboard: " + err.Error() + "."
		data.Hint = "Paste all of it: sga_ and 43 letters. A new one is made with “saguarota fleet token add NAME --scope read”."
	default:
		d.log.Error("a sign-in fails", "error", err)
		data.Problem, data.Hint = "The server could not look the token up.", "Try again; the log of the server says why."
	}
	q.render(status, view{Template: "signin", Title: "Sign in", Data: data})
}

func (d *Dashboard) signOut(w http.ResponseWriter, r *http.Request) {
	q := &request{d: d, w: w, r: r}
	q.setCookie("")
	http.Redirect(w, r, httpapi.PagesPath+"sign-in", http.StatusSeeOther)
}
