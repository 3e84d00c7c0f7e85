package boardtest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/rehearse"
)

// A task that is cancelled leaves the old release whole, nothing open, and room for another update in the
// same run: in the middle of a download, of a pack, of the swap.
func TestBackgroundCancelled(t *testing.T) {
	two := incompressible(60000)
	for _, tt := range []struct{ name, when string }{
		{"download", `seen("download_progress")`},
		{"staging", `exists(folder + "/pack") and exists(folder + "/todo") and len(os.listdir(folder)) > 5`},
		{"swap", `Journal(folder).state == "S"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				boot := `import asyncio, gc, os, settings
from saguarota.recover import Journal, exists
folder = "saguarota_backup"
events = []
def seen(event):
    return event in events
def show(event, details):
    events.append(event)
ota = settings.ota()
ota.progress_callback = show
async def main():
    task = asyncio.create_task(ota.update())
    while not (` + tt.when + `):
        await asyncio.sleep_ms(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled")
    print("state", Journal(folder).state not in ("S", "U"), open("app.py").read().strip())
    print("threshold", gc.threshold() == before, "background", ota.background)
    await ota.update()
if not exists("tried"):
    open("tried", "w").close()
    before = gc.threshold()
    asyncio.run(main())
print("state", ota.last_error_code)
`
				p := newPublisher(t, setup{fs: fs, factory: release1.with(release{"boot.py": boot})})
				old, one := p.site.manifest, p.site.files
				two := two.with(release{"boot.py": boot, "main.py": mainOnly})
				p.publish(200, two)
				p.site.pack(old, one, two)
				said := p.bootTo(rehearse.Reset).Output
				says(t, said, "cancelled", "state True NAME = 'one'", "threshold True background False", "OTA: installed; restarting")
				says(t, p.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
				p.holdsRelease(two)
				p.isClean()
			})
		})
	}
}

const mainOnly = `import settings, app
print("app", app.NAME)
ota = settings.ota()
settings.main(globals())
`

// Whoever leaves steps() in the middle, as with Ctrl-C, or has two tasks update at once, gets one release
// whole in the end.
func TestBackgroundOneAtATime(t *testing.T) {
	two := incompressible(60000)
	const head = `import asyncio, gc, os, settings
from saguarota.recover import Journal, exists
folder = "saguarota_backup"
ota = settings.ota()
def go():
`
	const tail = `
if not exists("tried"):
    open("tried", "w").close()
    go()
`
	for _, tt := range []struct {
		name, boot string
		says       []string
	}{
		{"left in the swap", `
    left = ota.steps()
    for _ in left:
        if Journal(folder).state == "S":
            break
    print("left")
    ota.check_and_perform_ota()
    print(ota.last_error_code, ota.last_error_message)
`, []string{"left", "OTA: installed; restarting"}},
		{"the same twice", `
    async def both():
        return await asyncio.gather(ota.update(apply=False), ota.update(apply=False))
    print("staged", asyncio.run(both()), ota.last_error_code)
    ota.apply()
`, []string{"OTA: update() is at work already", "staged [True, False] None", "OTA: installed; restarting"}},
		{"two", `
    other = settings.ota()
    async def both():
        return await asyncio.gather(ota.update(apply=False), other.update(apply=False))
    print("staged", asyncio.run(both()), ota.last_error_code, other.last_error_code)
    ota.apply()
    other.apply()
`, []string{"staged [False, True] None None", "OTA: nothing is staged", "OTA: installed; restarting"}},
		{"within itself", `
    def show(event, details):
        if event == "file_update_start":
            ota.progress_callback = None
            ota.check_and_perform_ota()
            print("refused", ota.last_error_code)
    ota.progress_callback = show
    ota.check_and_perform_ota()
`, []string{"refused apply_failed", "OTA: installed; restarting"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				boot := head + tt.boot + tail
				p := newPublisher(t, setup{fs: fs, factory: release1.with(release{"boot.py": boot})})
				old, one := p.site.manifest, p.site.files
				two := two.with(release{"boot.py": boot, "main.py": mainOnly})
				p.publish(200, two)
				p.site.pack(old, one, two)
				says(t, p.bootTo(rehearse.Reset).Output, tt.says...)
				says(t, p.bootTo(rehearse.AtREPL).Output, "app two", "confirmed True")
				p.holdsRelease(two)
				p.isClean()
			})
		})
	}
}

// halves has a listener send each larger piece of its connections in two, with some ticks between.
type halves struct {
	net.Listener
	ticks ticks
	sent  *atomic.Int32 // in two
}

func (h halves) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	return halvesConn{c, h}, err
}

type halvesConn struct {
	net.Conn
	halves
}

func (c halvesConn) Write(b []byte) (int, error) {
	if len(b) < 1000 {
		return c.Conn.Write(b)
	}
	n, err := c.Conn.Write(b[:len(b)/2])
	if err != nil {
		return n, err
	}
	if err := c.ticks.wait(context.Background(), 3); err != nil {
		return n, err
	}
	c.sent.Add(1)
	more, err := c.Conn.Write(b[len(b)/2:])
	return n + more, err
}

// A record of TLS that has arrived in part, and a chunk of which only the length has, don't hold up the
// application.
func TestBackgroundParts(t *testing.T) {
	two := incompressible(100_000)
	for _, overTLS := range []bool{true, false} {
		t.Run(fmt.Sprintf("TLS %v", overTLS), func(t *testing.T) {
			p := newPublisher(t, setup{})
			old := p.site.manifest
			p.publish(200, two)
			k := ticks{make(chan struct{}, 1<<20)}
			var sent atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				rec := httptest.NewRecorder()
				p.site.ServeHTTP(rec, r)
				body := rec.Body.Bytes()
				if overTLS {
					w.Header().Set("Content-Length", fmt.Sprint(len(body)))
					w.WriteHeader(rec.Code)
					w.Write(body)
					return
				}
				conn, buf, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				fmt.Fprintf(buf, "HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", rec.Code, len(body))
				buf.Flush()
				if err := k.wait(r.Context(), 3); err != nil {
					t.Errorf("%s: %v", r.URL.Path, err)
				}
				buf.Write(body)
				buf.WriteString("\r")
				buf.Flush()
				if err := k.wait(r.Context(), 3); err != nil {
					t.Errorf("%s: %v", r.URL.Path, err)
				}
				buf.WriteString("\n0\r\n\r\n")
				buf.Flush()
			}))
			if overTLS {
				server.Listener = halves{server.Listener, k, &sent}
				server.TLS = newAuthority(t, "ours").server("localhost", -time.Hour, time.Hour)
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			dir := t.TempDir()
			for name, text := range release1.with(release{"versions.json": string(old)}) {
				file := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			said := runApplication(t, k, dir, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)+"/ota/", keyA.PublicKey().String(), "later")
			says(t, said, "staged True ", "OTA: installed; restarting", "reset")
			if overTLS && sent.Load() == 0 {
				t.Error("no record came in parts")
			}
		})
	}
}
