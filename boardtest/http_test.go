package boardtest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

// An op is one step of scripts/http_ops.py.
type op = []any

func get(url string) op                  { return op{"get", url} }
func getFrom(url string, start int) op   { return op{"get", url, start} }
func getIf(url string, at int, e any) op { return op{"get", url, at, e} }
func read() op                           { return op{"read", 512} }
func readBy(n int) op                    { return op{"read", n} }
func some(n int) op                      { return op{"some", n} }

// httpOptions are what scripts/http_ops.py gives the client.
type httpOptions struct {
	timeout any    // seconds; long enough for the slowest machine when nil, None when it is noTimeout
	agent   string // the client's own when empty
	ca      []byte // none when nil
	derOnly bool   // on a build of MicroPython whose TLS does not take PEM
}

type noTimeout struct{}

// runHTTP performs ops on one client on MicroPython and returns what the script printed.
func runHTTP(t *testing.T, o httpOptions, ops ...op) string {
	t.Helper()
	options := map[string]any{"timeout_s": 30}
	switch o.timeout {
	case nil:
	case noTimeout{}:
		options["timeout_s"] = nil
	default:
		options["timeout_s"] = o.timeout
	}
	if o.agent != "" {
		options["name"] = o.agent
	}
	if o.ca != nil {
		options["ca"] = base64.StdEncoding.EncodeToString(o.ca)
	}
	job, err := json.Marshal(map[string]any{"options": options, "ops": ops, "der_only": o.derOnly})
	if err != nil {
		t.Fatal(err)
	}
	return runHTTPScript(t, "128K", string(job), "http_ops.py")
}

// checkHTTP performs ops and compares what the script printed with want, in which HOST stands for
// the server's host:port.
func checkHTTP(t *testing.T, s *rawServer, want string, ops ...op) {
	t.Helper()
	checkOutput(t, s, want, runHTTP(t, httpOptions{}, ops...))
}

// checkStall is checkHTTP for a server that falls silent, with a time limit of 1 s.
func checkStall(t *testing.T, s *rawServer, want string, ops ...op) {
	t.Helper()
	checkOutput(t, s, want, runHTTP(t, httpOptions{timeout: 1}, ops...))
}

func checkOutput(t *testing.T, s *rawServer, want, got string) {
	t.Helper()
	got = strings.TrimSpace(strings.ReplaceAll(got, s.addr, "HOST"))
	if want = strings.TrimSpace(want); got != want {
		t.Errorf("the client said\n%s\nwant\n%s", got, want)
	}
}

// checkCount checks how many connections and requests the server has seen.
func checkCount(t *testing.T, s *rawServer, conns, requests int) {
	t.Helper()
	if c, r := s.count(); c != conns || r != requests {
		t.Errorf("the server saw %d connections and %d requests, want %d and %d", c, r, conns, requests)
	}
}

const closedEarly = "error 0 HOST closed the connection (answer)"

// Answers that are in order, each the only one on its connection.
func TestHTTPGood(t *testing.T) {
	for _, tt := range []struct{ name, answer, want string }{
		{"length", answer("200 OK", "Content-Length: 5", `ETag: "x-1"`, "hello"),
			"head 200 5 0 5 \"x-1\"\nbody 5 b'hello'"},
		{"body until close", answer("200 OK", "hello"), "head 200 None 0 None None\nbody 5 b'hello'"},
		{"empty body until close", answer("200 OK", ""), "head 200 None 0 None None\nbody 0 b''"},
		{"Python's http.server", "HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6 Python/3.12.1\r\n" +
			"Date: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Type: application/json\r\n\r\n{}",
			"head 200 None 0 None None\nbody 2 b'{}'"},
		{"chunks", answer("200 OK", "Transfer-Encoding: chunked", "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
			"head 200 None 0 None None\nbody 5 b'hello'"},
		{"chunk extensions, trailers and large digits", answer("200 OK", "Transfer-Encoding: Chunked",
			"3;a=b;c=\"d\"\r\nhel\r\n00A ; e\r\nlo, boards\r\n000\r\nChecksum: 1\r\nMore: 2\r\n\r\n"),
			"head 200 None 0 None None\nbody 13 b'hello, boards'"},
		{"chunked and a length: chunked wins", answer("200 OK", "Content-Length: 3",
			"Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
			"head 200 None 0 None None\nbody 5 b'hello'"},
		{"informational answers first", "HTTP/1.1 100 Continue\r\n\r\n" +
			"HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n" + plain("hello"),
			"head 200 5 0 5 None\nbody 5 b'hello'"},
		{"204", answer("204 No Content", "Content-Length: 9", ""), "head 204 0 0 None None\nbody 0 b''"},
		{"304", answer("304 Not Modified", "Content-Length: 9", `ETag: "x"`, ""),
			"head 304 0 0 None \"x\"\nbody 0 b''"},
		{"no body", answer("200 OK", "Content-Length: 0", ""), "head 200 0 0 0 None\nbody 0 b''"},
		{"404", answer("404 Not Found", "Content-Length: 4", "gone"), "head 404 4 0 None None\nbody 4 b'gone'"},
		{"500", answer("500 Oh no", "oops"), "head 500 None 0 None None\nbody 4 b'oops'"},
		{"same length twice", answer("200 OK", "Content-Length: 5", "content-length:5", "hello"),
			"head 200 5 0 5 None\nbody 5 b'hello'"},
		{"bare newlines, odd case, no blanks", "HTTP/1.1 200\nCONTENT-length:5\nEtaG:\"e\"\n\nhello",
			"head 200 5 0 5 \"e\"\nbody 5 b'hello'"},
		{"Latin-1 text", "HTTP/1.1 200 tr\xe8s bien\r\nServer: caf\xe9\r\nContent-Length: 5\r\n\r\nhello",
			"head 200 5 0 5 None\nbody 5 b'hello'"},
		{"identity encoding", answer("200 OK", "Content-Encoding: Identity", "Content-Length: 5", "hello"),
			"head 200 5 0 5 None\nbody 5 b'hello'"},
		{"weak ETag", answer("200 OK", "Content-Length: 5", `ETag: W/"x"`, "hello"),
			"head 200 5 0 5 W/\"x\"\nbody 5 b'hello'"},
		{"ETag unfit to be sent back", answer("200 OK", "Content-Length: 5", "ETag: \"x\r\x01y\"", "hello"),
			"head 200 5 0 5 None\nbody 5 b'hello'"},
		{"longest line", answer("200 OK", "X: "+strings.Repeat("x", 1019), "Content-Length: 5", "hello"),
			"head 200 5 0 5 None\nbody 5 b'hello'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveAnswer(t, tt.answer)
			checkHTTP(t, s, tt.want, get(s.url("/")), read())
			checkCount(t, s, 1, 1)
		})
		// However the network cuts an answer, it means the same.
		t.Run(tt.name+", byte by byte", func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, func(c *rawConn) {
				if c.request() == nil {
					return
				}
				for i := range len(tt.answer) {
					c.send(tt.answer[i : i+1])
				}
			})
			checkHTTP(t, s, tt.want, get(s.url("/")), readBy(3))
		})
	}
}

// A large body in a small heap, which is no fuller after it than before.
func TestHTTPBig(t *testing.T) {
	body := make([]byte, 1<<20)
	for i := range body {
		body[i] = byte(i * 7 >> 3)
	}
	want := fmt.Sprintf("%d %x", len(body), sha256.Sum256(body))
	for _, tt := range []struct {
		name string
		head []string
	}{{"length", []string{"Content-Length: " + itoa(len(body))}}, {"chunks", []string{"Transfer-Encoding: chunked"}}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, func(c *rawConn) {
				for c.request() != nil {
					c.send(answer("200 OK", append(tt.head, "")...))
					rest := body
					for len(rest) > 0 {
						n := min(len(rest), 3001)
						if tt.name == "chunks" {
							c.send(fmt.Sprintf("%x\r\n%s\r\n", n, rest[:n]))
						} else {
							c.send(string(rest[:n]))
						}
						rest = rest[n:]
					}
					if tt.name == "chunks" {
						c.send("0\r\n\r\n")
					}
				}
			})
			checkOutput(t, s, want+"\n"+want+"\nflat True", runHTTPScript(t, "48K", "", "http_big.py", s.url("/")))
			checkCount(t, s, 1, 2)
		})
	}
}

// What the client costs a board. The limits are a little over what was measured on the 64-bit unix
// port, whose objects are twice the size of a board's: 10.5 kB for the module and 11.6 kB in use.
func TestHTTPHeap(t *testing.T) {
	s := serveAnswers(t, plain("hello"))
	got := runHTTPScript(t, "48K", "", "http_heap.py", s.url("/"))
	var module, connected int
	if _, err := fmt.Sscan(got, &module, &connected); err != nil {
		t.Fatalf("the script printed %q", got)
	}
	t.Logf("module %d B, with an open connection %d B", module, connected)
	if module > 11000 || connected > 12200 {
		t.Errorf("the client takes %d B of heap, with an open connection %d B", module, connected)
	}
}
