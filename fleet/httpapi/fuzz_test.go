package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// FuzzHandler asks a server for whatever the fuzzer comes up with, as a board or as nobody. However it is
// written, the answer is not the server's fault, its headers are lines, and nobody without a token changes
// an application.
func FuzzHandler(f *testing.F) {
	r := newRig(f)
	version := r.publish("one")
	r.give("stable", version)
	apps := func(ctx context.Context) string {
		list, err := r.store.Apps(ctx)
		data, err2 := json.Marshal(list)
		return fmt.Sprintf("%s %v %v", data, err, err2)
	}
	before := apps(f.Context())

	for _, target := range []string{
		"/ota/badge/versions.json.sig", "/ota/badge/versions.json", "/ota/badge/main.py", "/ota/badge/lib/util.py",
		"/ota/badge/keys/2.json", "/ota/badge/packs/0123456789abcdef", "/ota/badge/packs/0123456789abcdef-0123456789abcdef",
		"/ota/badge/../../etc/passwd", "/ota/badge/%2e%2e%2fmain.py", "/ota/badge/main.py%00", "/ota/nope/versions.json.sig", "/ota//", "/ota/badge/",
		"/release/badge/0123456789abcdef/main.py", "/release/badge/" + strings.Repeat("f", 300) + "/x", "/healthz", "/readyz", "/metrics",
		"/api/openapi.json", api.Path + "/apps", api.Path + "/apps/badge", api.Path + "/apps/badge/boards?limit=-1", api.Path + "/apps/badge/boards?after=%ff&tag=%00", api.Path + "/audit", "*",
	} {
		f.Add("GET", target, "id=b1; version=0; state=idle", "bytes=1-", "")
		f.Add("PUT", target, "", "", `{"name":"x"}`)
		f.Add("DELETE", target, "id=;", "", "")
	}
	f.Add("GET", "/ota/badge/versions.json.sig", "id=b1; version=99999999999999999999", "", "")
	f.Add("GET", "/ota/badge/versions.json.sig", "id=b1; id=b2", "", "")
	f.Add("GET", "/ota/badge/versions.json.sig", "id=b1; board=%0d%0aX: y", "", "")
	f.Add("GET", "/ota/badge/versions.json.sig", "id="+strings.Repeat("x", 700), "", "")
	f.Add("POST", api.Path+"/apps/badge/rollouts", "", "", `{"channel":"stable","version":1,"steps":[{"percent":1e99}]}`)

	f.Fuzz(func(t *testing.T, method, target, report, ranges, body string) {
		head := method + " " + target + " HTTP/1.1\r\nHost: h\r\n\r\n"
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			return // net/http turns it away
		}
		req.Body = http.NoBody
		if body != "" {
			req.Body = http.MaxBytesReader(nil, readCloser{strings.NewReader(body)}, 1<<20)
			req.ContentLength = int64(len(body))
			req.Header.Set("Content-Type", "application/json")
		}
		req.RemoteAddr = "192.0.2.1:1"
		for name, value := range map[string]string{"Saguarota": report, "Range": ranges, "If-None-Match": ranges, "Authorization": report} {
			if value != "" {
				req.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		r.server.Handler().ServeHTTP(w, req.WithContext(t.Context()))
		if w.Code < 200 || w.Code >= 500 {
			t.Errorf("%q: status %d: %s", head, w.Code, w.Body)
		}
		for name, values := range w.Header() {
			for _, v := range values {
				if strings.ContainsAny(v, "\r\n\x00") {
					t.Errorf("%q: the header %s is %q", head, name, v)
				}
			}
		}
		if after := apps(t.Context()); after != before {
			t.Fatalf("%q changed the applications:\n%s", head, after)
		}
		// Boards come and go within the limits that apply to all; the clock goes on, so that these do not stop the fuzzer.
		r.clock.Add(int64(time.Minute / time.Second))
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
