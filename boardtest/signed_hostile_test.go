package boardtest

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/rehearse"
	signed "github.com/cactuscon/saguarota/release"
)

// A signedCase is something that a server, a network or a thief does to a board that trusts key A,
// runs release1 and is offered release2, signed. The board must refuse it, and then update to the
// next honest release.
type signedCase struct {
	name    string
	options string
	fs      rehearse.FileSystem
	hostile func(p *publisher) // makes the case of an honest site
	codes   string             // any of these
	message string
	says    string // more of what the board says
	asked   int    // requests in that boot, if not 0
	mend    func(p *publisher)
}

func runSignedCases(t *testing.T, cases []signedCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t, setup{fs: tt.fs, options: tt.options})
			honest := *p
			p.publish(200, release2)
			tt.hostile(p)
			p.site.asked()
			says(t, p.refuses(tt.codes, tt.message), tt.says)
			if n := len(p.site.asked()); tt.asked != 0 && n != tt.asked {
				t.Errorf("the board asked for %d files, want %d", n, tt.asked)
			}
			p.site.misbehave(nil)
			p.keyset, p.signers, p.chain, p.say = honest.keyset, honest.signers, release{}, nil
			if tt.mend != nil {
				tt.mend(p)
			}
			p.publish(300, release3)
			p.updates(release3)
		})
	}
}

// signedBy has the statement signed by other keys.
func signedBy(keys ...signed.PrivateKey) func(p *publisher) {
	return func(p *publisher) {
		p.signers = keys
		p.sign()
	}
}

// saying has the statement say something else, signed as it should be.
func saying(say func(s *signed.Statement)) func(p *publisher) {
	return func(p *publisher) {
		p.say = say
		p.sign()
	}
}

// answering has the server answer requests of one file in its own way.
func answering(name string, answer func(w http.ResponseWriter, r *http.Request)) func(p *publisher) {
	return func(p *publisher) { p.site.misbehave(on(name, answer)) }
}

// serving has the server send other bytes as one of its files.
func serving(name string, change func(p *publisher, honest []byte) []byte) func(p *publisher) {
	return func(p *publisher) {
		if name == "versions.json" {
			p.site.offerBytes(change(p, p.site.manifest))
			return
		}
		p.serve(release{name: string(change(p, p.file(name)))})
	}
}

// resigned signs other bytes than those of a manifest that anybody would write.
func resigned(change func(p *publisher, honest []byte) []byte) func(p *publisher) {
	return func(p *publisher) {
		p.site.offerBytes(change(p, p.site.manifest))
		p.sign()
	}
}

const statementFile = signed.StatementName

// endless is a body that never ends.
func endless(w http.ResponseWriter, _ *http.Request) {
	block := bytes.Repeat([]byte("x"), 4096)
	for {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// endlessHeaders never comes to its body.
func endlessHeaders(w http.ResponseWriter, _ *http.Request) {
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	buf.WriteString("HTTP/1.1 200 OK\r\n")
	for i := 0; ; i++ {
		if _, err := fmt.Fprintf(buf, "X-%d: %s\r\n", i, strings.Repeat("y", 100)); err != nil {
			return
		}
	}
}

func endlessRedirects(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.URL.Path+"?again", http.StatusFound)
}

// stall answers with the beginning of a body and then nothing.
func stall(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "1000")
	w.Write([]byte("sag"))
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// drip answers with a few bytes a second, for ever: of a body, that is, which looks alive.
func drip(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := w.Write([]byte(" ")); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
