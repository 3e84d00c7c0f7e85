package boardtest

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	signed "github.com/cactuscon/saguarota/release"
)

// Signed releases by https: who is the server, and what if it is another.
func TestSignedHTTPS(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	good := ours.server("localhost", -time.Hour, time.Hour)
	stranger := theirs.server("other.example", -2*time.Hour, -time.Hour)
	const warning = "OTA: warning: the server is not authenticated; what it sends must be signed"
	pem := fmt.Sprintf("ca=%q", ours.pem())
	for _, tt := range []struct {
		name    string
		server  *tls.Config
		ca      string
		message string // why it is refused; "" where it is not
		warns   bool
	}{
		{name: "right, from a file of DER", server: good, ca: "ca='ca.der'"},
		{name: "right, from a file of PEM", server: good, ca: "ca='ca.pem'"},
		{name: "right, PEM", server: good, ca: pem},
		{name: "right, DER", server: good, ca: "ca=open('ca.der', 'rb').read()"},
		{name: "any", server: stranger, ca: "ca=None", warns: true},
		{name: "another authority's", server: theirs.server("localhost", -time.Hour, time.Hour), ca: pem, message: "not correctly signed by the trusted CA"},
		{name: "expired", server: ours.server("localhost", -2*time.Hour, -time.Hour), ca: pem, message: "validity has expired"},
		{name: "another host's", server: ours.server("other.example", -time.Hour, time.Hour), ca: pem, message: "does not match with the expected CN"},
		{name: "an authority that is not there", server: good, ca: "ca='missing.der'", message: "invalid cert"},
		{name: "an authority that is none", server: good, ca: "ca='clock.py'", message: "invalid cert"},
		{name: "no authority", server: good, ca: "ca=''", message: "invalid cert"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t, setup{})
			var asked []string
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.URL.Path) // of one board, one after the other
				p.site.ServeHTTP(w, r)
			}))
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.TLS = tt.server
			s.StartTLS()
			t.Cleanup(s.Close)
			p.write("ca.der", string(ours.der))
			p.write("ca.pem", string(ours.pem()))
			p.publish(200, release2)
			p.set(trusting(1, keyA)+secureOptions(t, s)+", "+tt.ca, "")
			if tt.message != "" {
				said := p.refuses("statement_fetch_failed", tt.message)
				saysNot(t, said, warning)
				if len(asked) != 0 {
					t.Errorf("the board asked for %q", asked)
				}
				return
			}
			said := p.run()
			says(t, said, "OTA: installed; restarting", "confirmed True")
			p.holdsRelease(release2)
			if tt.warns != strings.Contains(said, warning) {
				t.Errorf("the board warned, or did not; it said\n%s", said)
			}
			p.signers = []signed.PrivateKey{thief}
			p.publish(300, release3)
			p.refuses("statement_signature_invalid", "signed by 0 ")
		})
	}
}

// secureOptions has the board use a TLS server by the name localhost.
func secureOptions(t *testing.T, s *httptest.Server) string {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	base := "https://localhost:" + u.Port() + "/ota/"
	return fmt.Sprintf(", manifest_url=%q, base_file_url=%q", base+"versions.json", base)
}

// A redirect must not lead out of https, with or without a certificate.
func TestSignedHTTPSRedirect(t *testing.T) {
	ours := newAuthority(t, "ours")
	for _, name := range []string{statementFile, "versions.json", "lib/util.py"} {
		for _, ca := range []string{"None", fmt.Sprintf("%q", ours.pem())} {
			t.Run(fmt.Sprintf("%s, ca %.8s", name, ca), func(t *testing.T) {
				t.Parallel()
				p := newPublisher(t, setup{})
				s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/ota/"+name {
						http.Redirect(w, r, p.site.server.URL+r.URL.Path, http.StatusFound)
						return
					}
					p.site.ServeHTTP(w, r)
				}))
				s.Config.ErrorLog = log.New(io.Discard, "", 0)
				s.TLS = ours.server("localhost", -time.Hour, time.Hour)
				s.StartTLS()
				t.Cleanup(s.Close)
				p.publish(200, release2)
				p.set(trusting(1, keyA)+secureOptions(t, s)+", ca="+ca, "")
				p.site.asked()
				p.refuses("statement_fetch_failed manifest_fetch_failed download_failed", "redirect from https to http")
				for _, asked := range p.site.asked() {
					if asked == name {
						t.Errorf("the board followed it")
					}
				}
				p.set(trusting(1, keyA), "")
				p.updates(release2)
			})
		}
	}
}
