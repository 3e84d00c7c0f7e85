package httpapi_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
)

// Requests as nobody's library writes them, byte for byte. Each is turned away, or is answered as
// what it is: no answer has a header that the request brought, no file outside of the release is
// sent, and no second request is hidden in the first.
func TestInjection(t *testing.T) {
	r := newRig(t)
	v := r.publish("one")
	r.give("stable", v)
	token := r.token("ada", fleet.ScopeAdmin)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	web := httpapi.NewHTTPServer(r.server.Handler(), slog.New(slog.NewTextHandler(&r.log, nil)))
	go func() { _ = web.Serve(l) }()
	defer web.Close()
	head := func(target string, headers ...string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: h\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
	}
	for name, c := range map[string]struct {
		request string
		want    []int // statuses of all answers
	}{
		"the honest one": {head("/ota/badge/main.py"), []int{200}},

		"dots":                           {head("/ota/badge/../../fleet.db"), []int{307}},
		"dots to another application":    {head("/ota/nope/../badge/main.py"), []int{307}},
		"escaped dots":                   {head("/ota/badge/%2e%2e/%2e%2e/fleet.db"), []int{404}},
		"escaped slashes":                {head("/ota/badge/..%2f..%2ffleet.db"), []int{404}},
		"backslashes":                    {head(`/ota/badge/..\..\fleet.db`), []int{404}},
		"an absolute path":               {head("/ota/badge/%2fetc%2fpasswd"), []int{404}},
		"a zero byte":                    {head("/ota/badge/main.py%00.txt"), []int{404}},
		"a line break in the path":       {head("/ota/badge/main.py%0d%0aX-Injected:%20yes"), []int{404}},
		"a line break in the app":        {head("/ota/badge%0d%0aX-Injected:%20yes/versions.json.sig"), []int{404}},
		"a line break in a release's id": {head("/release/badge/0123456789abcdef%0d%0aX-Injected:%20yes/main.py"), []int{404}},
		"escapes that are not UTF-8":     {head("/ota/badge/%ff%fe"), []int{404}},
		"escapes that are none":          {head("/ota/badge/%zz"), []int{400}},
		"a path of 8 kB":                 {head("/ota/badge/" + strings.Repeat("x", 8000)), []int{404}},
		"a path of 80 kB":                {head("/ota/badge/" + strings.Repeat("x", 80_000)), []int{431}},
		"a keyset of another path":       {head("/ota/badge/keys/..%2f1.json"), []int{404}},
		"a pack of another path":         {head("/ota/badge/packs/..%2f..%2fmain.py"), []int{404}},
		"another server's URL":           {head("http://elsewhere/ota/badge/main.py"), []int{200}},

		"a line break in a report":       {head("/ota/badge/versions.json.sig", "Saguarota: id=b1; board=a%0d%0aX-Injected: yes"), []int{400}},
		"a bare line break in a header":  {head("/ota/badge/versions.json.sig", "Saguarota: id=b1\n X-Injected: yes"), []int{400}},
		"a bare return in a header":      {head("/ota/badge/versions.json.sig", "Saguarota: id=b1\rX-Injected: yes"), []int{400}},
		"a zero byte in a header":        {head("/ota/badge/versions.json.sig", "Saguarota: id=b1\x00"), []int{400}},
		"a tag that is none":             {head("/ota/badge/main.py", "If-None-Match: \"\x7f\""), []int{400}},
		"a range that is none":           {head("/ota/badge/main.py", "Range: bytes=99999999999999999999-"), []int{416}},
		"a thousand ranges":              {head("/ota/badge/main.py", "Range: bytes="+strings.Repeat("0-,", 1000)+"0-"), []int{200}},
		"two hosts":                      {head("/ota/badge/main.py", "Host: elsewhere"), []int{400}},
		"no host":                        {"GET /ota/badge/main.py HTTP/1.1\r\n\r\n", []int{400}},
		"headers of 80 kB":               {head("/ota/badge/main.py", "X: "+strings.Repeat("x", 80_000)), []int{431}},
		"a name with a blank":            {head("/ota/badge/main.py", "X Y: z"), []int{400}},
		"a token with a line break":      {head("/api/v1/apps", "Authorization: Bearer sga_x%0d%0aX-Injected: yes"), []int{401}},
		"a scheme and no token":          {head("/api/v1/apps", "Authorization: Bearer"), []int{401}},
		"two tokens, the second is good": {head("/api/v1/apps", "Authorization: Bearer x", "Authorization: Bearer "+token), []int{401}},
		"a token in the URL":             {head("/api/v1/apps?token=" + token), []int{401}},

		"two lengths": {
			"POST /ota/badge/main.py HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n" + head("/healthz"), []int{400}},
		"a length and chunks": {
			"POST /ota/badge/main.py HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + head("/healthz", "Authorization: Bearer "+token), []int{405, 200}}, // the length does not count, so that is the next request
		"an unknown encoding": {
			"POST /ota/badge/main.py HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n" + head("/healthz"), []int{501}},
		"a chunk's length that is none": {
			"POST /ota/badge/main.py HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\n" + head("/healthz"), []int{405}},
		"a request in the body of another": {
			"GET /ota/badge/main.py HTTP/1.1\r\nHost: h\r\nContent-Length: " + fmt.Sprint(len(head("/healthz"))) + "\r\n\r\n" + head("/healthz"), []int{200}},
		"another protocol": {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{400}},
		"a tunnel":         {"CONNECT elsewhere:80 HTTP/1.1\r\nHost: elsewhere:80\r\n\r\n", []int{405}},
		"a trace":          {"TRACE /ota/badge/main.py HTTP/1.1\r\nHost: h\r\nX-Injected: yes\r\n\r\n", []int{405}},
	} {
		conn, err := net.Dial("tcp", l.Addr().String())
		r.must(err)
		// It may have had enough before all of it was sent.
		_, _ = io.WriteString(conn, c.request)
		r.must(conn.(*net.TCPConn).CloseWrite())
		var got []int
		answers := bufio.NewReader(conn)
		for {
			resp, err := http.ReadResponse(answers, nil)
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			if err != nil {
				break // the rest of the request was not taken
			}
			body, _ := io.ReadAll(resp.Body)
			got = append(got, resp.StatusCode)
			if resp.Header.Get("X-Injected") != "" || strings.Contains(string(body), "SQLite") || strings.Contains(string(body), "root:") {
				t.Errorf("%s: %v\n%s", name, resp.Header, body)
			}
			if location := resp.Header.Get("Location"); strings.Contains(location, "://") || strings.HasPrefix(location, "//") {
				t.Errorf("%s: to %s", name, location)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		r.must(conn.Close())
	}
	for line := range strings.Lines(r.log.String()) {
		if !strings.HasPrefix(line, "time=") || strings.Contains(line, token) {
			t.Errorf("the log has a line %q", line)
		}
	}
}
