package boardtest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/internal/micropython"
)

// ticks counts the lines that an application prints while it goes on, and lets others wait for some.
type ticks struct {
	lines chan struct{}
}

// wait waits for n more ticks. That they come shows that the application is not held up.
func (k ticks) wait(ctx context.Context, n int) error {
	for len(k.lines) > 0 {
		<-k.lines // those of before
	}
	for range n {
		select {
		case <-k.lines:
		case <-ctx.Done():
			return nil // the board has hung up
		case <-time.After(15 * time.Second):
			return fmt.Errorf("the application stands still")
		}
	}
	return nil
}

// An application on asyncio runs on while the server keeps the updater waiting: for a connection, an
// answer, the middle of a body. Then it installs the release when it likes.
func TestBackground(t *testing.T) {
	const much = 200_000
	two := incompressible(much)
	for _, tt := range []struct {
		name       string
		tls, packs bool
		apply      string
	}{
		{"files", false, false, "later"},
		{"a pack", false, true, "later"},
		{"a pack over TLS", true, true, "later"},
		{"at once", false, true, "apply"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPublisher(t, setup{})
			old := p.site.manifest
			p.publish(200, two)
			if tt.packs {
				p.site.pack(old, release1, two)
			}
			k := ticks{make(chan struct{}, 1<<20)}
			slow := func(w http.ResponseWriter, r *http.Request) {
				rec := httptest.NewRecorder()
				p.site.ServeHTTP(rec, r)
				body := rec.Body.Bytes()
				if err := k.wait(r.Context(), 3); err != nil {
					t.Errorf("before the answer for %s: %v", r.URL.Path, err)
				}
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				w.WriteHeader(rec.Code)
				w.Write(body[:len(body)/2])
				w.(http.Flusher).Flush()
				if err := k.wait(r.Context(), 3); err != nil {
					t.Errorf("in the middle of %s: %v", r.URL.Path, err)
				}
				w.Write(body[len(body)/2:])
			}
			server := httptest.NewUnstartedServer(http.HandlerFunc(slow))
			if tt.tls {
				server.TLS = newAuthority(t, "ours").server("localhost", -time.Hour, time.Hour)
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()

			dir := t.TempDir()
			for name, text := range release1 {
				file := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "versions.json"), old, 0o666); err != nil {
				t.Fatal(err)
			}
			said := runApplication(t, k, dir, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)+"/ota/", keyA.PublicKey().String(), tt.apply)
			if tt.apply == "apply" {
				says(t, said, "OTA: installed; restarting", "reset")
			} else {
				says(t, said, "staged True ", "longest ", "again True ", "OTA: installed; restarting", "reset")
			}
			got, err := os.ReadFile(filepath.Join(dir, "big.txt"))
			if err != nil || !bytes.Equal(got, []byte(two["big.txt"])) {
				t.Errorf("big.txt is not that of the release: %v", err)
			}
			if i := strings.Index(said, "longest"); i >= 0 {
				t.Log(strings.SplitN(said[i:], "\n", 2)[0], "ms between two ticks")
			}
		})
	}
}

// runApplication runs scripts/background.py in a folder; -> all it says, but the ticks.
func runApplication(t *testing.T, k ticks, dir string, args ...string) string {
	t.Helper()
	in, err := micropython.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := readLibrary()
	if err != nil {
		t.Fatal(err)
	}
	lib := t.TempDir()
	if err := os.CopyFS(filepath.Join(lib, "saguarota"), l.mpy); err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs(filepath.Join("scripts", "background.py"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := in.Command(t.Context(), "", append([]string{script}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Env, "MICROPYPATH="+lib+":.frozen")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "tick" {
			select {
			case k.lines <- struct{}{}:
			default:
			}
			continue
		}
		fmt.Fprintln(&said, lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	return said.String()
}
