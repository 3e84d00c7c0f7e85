package devserver

import (
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// pieceSize is the most that is written to a connection under one deadline.
const pieceSize = 4 << 10

// response is the ResponseWriter of every answer. It counts what is sent, puts
// on every answer the headers that all of them carry, and limits how long the
// client may take nothing. There is no limit on a whole answer: a board may
// need a quarter of an hour for a big file and still be getting on.
//
// It has no ReadFrom on purpose: that would hand a whole file to the kernel
// under a single deadline.
type response struct {
	http.ResponseWriter
	stall time.Duration // how long the client may take nothing

	status int
	bytes  int64
	failed error // the first error of a Write

	sent func() // called after each piece; nil where nobody wants to know
}

// Unwrap lets http.ResponseController find the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// extend gives the client its time anew. Deadlines are compared to the
// system's clock by the network poller, so an injected clock is of no use here.
// Some writers, of tests, have no deadline to set; then there is nothing to do.
func (w *response) extend() {
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.stall))
}

// WriteHeader sends the head of the answer. The common headers are set only
// here because net/http takes some of them away from answers that are errors.
func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Accept-Ranges, Content-Length, Content-Range, ETag")
	h.Set("Cache-Control", "no-store, no-cache, must-revalidate, max-age=0")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "0")
	h.Set("X-Content-Type-Options", "nosniff")
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	sent := 0
	for len(p) > 0 {
		w.extend()
		n, err := w.ResponseWriter.Write(p[:min(len(p), pieceSize)])
		sent += n
		w.bytes += int64(n)
		if err != nil {
			if w.failed == nil {
				w.failed = err
			}
			return sent, err
		}
		if w.sent != nil {
			w.sent()
		}
		p = p[n:]
	}
	return sent, nil
}

// fail answers with a status and a plain message.
func (w *response) fail(status int, message string) {
	h := w.Header()
	h.Del("ETag")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(strings.TrimSuffix(message, "\n") + "\n"))
}

// trouble tells what went wrong with sending, or "".
func (w *response) trouble() string {
	switch {
	case w.failed == nil:
		return ""
	case errors.Is(w.failed, os.ErrDeadlineExceeded):
		return "dropped: the client took nothing for " + FormatDuration(w.stall)
	case errors.Is(w.failed, net.ErrClosed):
		return "cut, because the server stops"
	}
	return "the client went away"
}
