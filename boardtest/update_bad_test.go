package boardtest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/rehearse"
)

// die answers with a body that is shorter than announced, and cuts the connection.
func die(w http.ResponseWriter, status, announced int, body string) {
	var head strings.Builder
	if err := w.Header().Write(&head); err != nil {
		panic(err)
	}
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprintf(buf, "HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n%s", status, &head, announced, body)
	buf.Flush()
}

// on returns a fault for the requests of one path.
func on(name string, answer func(w http.ResponseWriter, r *http.Request)) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/ota/"+name {
			return false
		}
		answer(w, r)
		return true
	}
}

// once is on for the first request of that path only.
func once(name string, answer func(w http.ResponseWriter, r *http.Request)) func(r *rig) {
	return func(r *rig) {
		done := false // the requests of one board come one after the other
		fault := on(name, answer)
		r.site.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
			if done {
				return false
			}
			done = fault(w, req)
			return done
		})
	}
}

// A badCase is something that a server, the network or a flash may do to a board that runs
// release1 and is offered release2.
type badCase struct {
	name    string
	options string // of OTAUpdater
	// spoil makes the case of a rig whose site has published release2, signed with "sesame".
	spoil   func(r *rig)
	code    string
	message string
	asked   int // requests in the first boot, if not 0
	// repair undoes what is wrong on the board, if that is more than publishing again.
	repair func(r *rig)
}

// offerJSON has spoil change the manifest on offer as JSON.
func offerJSON(change func(m map[string]any, files []any)) func(r *rig) {
	return func(r *rig) {
		r.t.Helper()
		var m map[string]any
		if err := json.Unmarshal(r.site.manifest, &m); err != nil {
			r.t.Fatal(err)
		}
		files, _ := m["files"].([]any)
		change(m, files)
		data, err := json.Marshal(m)
		if err != nil {
			r.t.Fatal(err)
		}
		r.site.offerBytes(data)
	}
}

// offerFile has spoil change one key of the manifest's first file, app.py; nil removes it.
func offerFile(key string, value any) func(r *rig) {
	return offerJSON(func(_ map[string]any, files []any) {
		if files[0].(map[string]any)[key] = value; value == nil {
			delete(files[0].(map[string]any), key)
		}
	})
}

func offerKey(key string, value any) func(r *rig) {
	return offerJSON(func(m map[string]any, _ []any) {
		if m[key] = value; value == nil {
			delete(m, key)
		}
	})
}

func offerText(text string) func(r *rig) {
	return func(r *rig) { r.site.offerBytes([]byte(text)) }
}

func answerManifest(answer func(w http.ResponseWriter, r *http.Request)) func(r *rig) {
	return func(r *rig) { r.site.misbehave(on("versions.json", answer)) }
}

func answerFile(answer func(w http.ResponseWriter, r *http.Request)) func(r *rig) {
	return func(r *rig) { r.site.misbehave(on("lib/util.py", answer)) }
}

func status(code int) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", code) }
}

const authKey = `manifest_auth_key="sesame"`

var badManifests = []badCase{
	{name: "no server", code: "manifest_fetch_failed", message: "connection refused by 127.0.0.1:", spoil: func(r *rig) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			r.t.Fatal(err)
		}
		l.Close()
		r.set(fmt.Sprintf("manifest_url='http://%s/ota/versions.json'", l.Addr()), "")
	}, repair: func(r *rig) { r.set("", "") }},
	{name: "no such name", code: "manifest_fetch_failed", message: "does-not-exist.invalid", spoil: func(r *rig) {
		r.set("manifest_url='http://does-not-exist.invalid/versions.json'", "")
	}, repair: func(r *rig) { r.set("", "") }},
	{name: "no URL", code: "manifest_fetch_failed", message: "not a URL", spoil: func(r *rig) {
		r.set("manifest_url='not a URL'", "")
	}, repair: func(r *rig) { r.set("", "") }},
	{name: "404", code: "manifest_fetch_failed", message: "/ota/versions.json answered 404", asked: 1, spoil: answerManifest(status(404))},
	{name: "403", code: "manifest_fetch_failed", message: "answered 403", asked: 1, spoil: answerManifest(status(403))},
	{name: "500", code: "manifest_fetch_failed", message: "answered 500", asked: 2, spoil: answerManifest(status(500))},
	{name: "500, four retries", options: "download_retries=4", code: "manifest_fetch_failed", message: "answered 500", asked: 5, spoil: answerManifest(status(500))},
	{name: "429", code: "manifest_fetch_failed", message: "answered 429", asked: 2, spoil: answerManifest(status(429))},
	{name: "204", code: "manifest_fetch_failed", message: "answered 204", spoil: answerManifest(status(204))},
	{name: "closed without an answer", code: "manifest_fetch_failed", message: "closed the connection", asked: 2,
		spoil: answerManifest(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			conn.Close()
		})},
	{name: "truncated: shorter than its length", code: "manifest_fetch_failed", message: "cut short", asked: 2,
		spoil: func(r *rig) {
			data := string(r.site.manifest)
			answerManifest(func(w http.ResponseWriter, _ *http.Request) { die(w, 200, len(data), data[:len(data)-10]) })(r)
		}},
	{name: "truncated after the first files", code: "manifest_fetch_failed", message: "the manifest is cut short", asked: 1, spoil: func(r *rig) {
		r.site.offerBytes(r.site.manifest[:len(r.site.manifest)*2/3])
	}},
	{name: "truncated before the last brace", code: "manifest_fetch_failed", message: "the manifest is cut short", spoil: func(r *rig) {
		r.site.offerBytes(r.site.manifest[:len(r.site.manifest)-3])
	}},
	{name: "HTML", code: "manifest_fetch_failed", message: "not a manifest: '{' expected at byte 0", asked: 1,
		spoil: offerText("<!DOCTYPE html><html><body>Log in to the hotel's network</body></html>")},
	{name: "a page of 100 kB", code: "manifest_fetch_failed", message: "not a manifest", spoil: offerText(strings.Repeat("<p>spam</p>", 10_000))},
	{name: "zero bytes", code: "manifest_fetch_failed", message: "the manifest is cut short", spoil: offerText("")},
	{name: "white space", code: "manifest_fetch_failed", message: "the manifest is cut short", spoil: offerText(strings.Repeat(" ", 5000))},
	{name: "binary", code: "manifest_fetch_failed", message: "not a manifest", spoil: offerText("\x00\xff\xfe\x80binary")},
	{name: "a list", code: "manifest_fetch_failed", message: "not a manifest", spoil: offerText("[]")},
	{name: "an empty object", code: "manifest_fetch_failed", message: "the manifest has no version", spoil: offerText("{}")},
	{name: "two objects", code: "manifest_fetch_failed", message: "bytes after the end", spoil: func(r *rig) {
		r.site.offerBytes(append(r.site.manifest, r.site.manifest...))
	}},
	{name: "an endless string", code: "manifest_fetch_failed", message: "longer than 1024 bytes", spoil: offerText(`{"version": 200, "files": [{"path": "` + strings.Repeat("x", 20_000) + `"}]}`)},
	{name: "an endless number", code: "manifest_fetch_failed", message: "", spoil: offerText(`{"version": ` + strings.Repeat("9", 20_000) + `, "files": []}`)},
	{name: "deeply nested", code: "manifest_fetch_failed", message: "", spoil: offerText(`{"version": 200, "files": [{"path": ` + strings.Repeat("[", 20_000))},
	{name: "version is text", code: "manifest_fetch_failed", message: "version is not a whole number: '200'", spoil: offerKey("version", "200")},
	{name: "version is a fraction", code: "manifest_fetch_failed", message: "version is not a whole number: 200.5", spoil: offerKey("version", 200.5)},
	{name: "version is true", code: "manifest_fetch_failed", message: "version is not a whole number: True", spoil: offerKey("version", true)},
	{name: "version is null", code: "manifest_fetch_failed", message: "version is not a whole number: None", spoil: func(r *rig) {
		r.site.offerBytes([]byte(strings.Replace(string(r.site.manifest), `"version": 200`, `"version": null`, 1)))
	}},
	{name: "version is a list", code: "manifest_fetch_failed", message: "version is not a whole number: None", spoil: offerKey("version", []int{200})},
	{name: "version is huge", code: "manifest_fetch_failed", message: "version is not a whole number", spoil: func(r *rig) {
		r.site.offerBytes([]byte(strings.Replace(string(r.site.manifest), `"version": 200`, `"version": 99999999999999999999`, 1)))
	}},
	{name: "no version", code: "manifest_fetch_failed", message: "the manifest has no version", spoil: offerKey("version", nil)},
	{name: "no files", code: "manifest_fetch_failed", message: "the manifest has 0 lists of files", spoil: offerKey("files", nil)},
	{name: "files is an object", code: "manifest_fetch_failed", message: "'[' expected", spoil: offerKey("files", map[string]any{"app.py": 1})},
	{name: "files is text", code: "manifest_fetch_failed", message: "'[' expected", spoil: offerKey("files", "app.py")},
	{name: "files twice", code: "manifest_fetch_failed", message: "2 lists of files", spoil: func(r *rig) {
		r.site.offerBytes([]byte(strings.Replace(string(r.site.manifest), `"files"`, `"files": [], "files"`, 1)))
	}},
	{name: "an empty manifest", code: "manifest_fetch_failed", message: "the manifest lists no files", spoil: offerKey("files", []any{})},
	{name: "an entry is a number", code: "manifest_fetch_failed", message: "'{' expected", spoil: offerKey("files", []any{1})},
	{name: "an entry is a list", code: "manifest_fetch_failed", message: "'{' expected", spoil: offerKey("files", []any{[]any{}})},
	{name: "path is a number", code: "manifest_fetch_failed", message: "an entry has no path", spoil: offerFile("path", 7)},
	{name: "no path", code: "manifest_fetch_failed", message: "an entry has no path", spoil: offerFile("path", nil)},
	{name: "size is text", code: "manifest_fetch_failed", message: "size of app.py is not a whole number: '13'", spoil: offerFile("size", "13")},
	{name: "size is negative", code: "manifest_fetch_failed", message: "size of app.py is not a whole number: -2", spoil: offerFile("size", -2)},
	{name: "file version is text", code: "manifest_fetch_failed", message: "version of app.py is not a whole number", spoil: offerFile("version", "x")},
	{name: "md5 is a number", code: "manifest_fetch_failed", message: "bad md5 of app.py", spoil: offerFile("md5", 5)},
	{name: "md5 is short", code: "manifest_fetch_failed", message: "bad md5 of app.py", spoil: offerFile("md5", "abc")},
	{name: "sha256 is no hex", code: "manifest_fetch_failed", message: "bad sha256 of app.py", spoil: offerFile("sha256", strings.Repeat("x", 64))},

	{name: "path with ..", code: "manifest_fetch_failed", message: "path is not relative and canonical: ../evil.py", spoil: offerFile("path", "../evil.py")},
	{name: "path with .. inside", code: "manifest_fetch_failed", message: "path is not relative and canonical: a/../../evil.py", spoil: offerFile("path", "a/../../evil.py")},
	{name: "absolute path", code: "manifest_fetch_failed", message: "path is not relative and canonical: /boot.py", spoil: offerFile("path", "/boot.py")},
	{name: "path with a drive", code: "manifest_fetch_failed", message: "drive letter", spoil: offerFile("path", "c:/boot.py")},
	{name: "path with a backslash", code: "manifest_fetch_failed", message: "forbidden character", spoil: offerFile("path", `..\boot.py`)},
	{name: "path with a newline", code: "manifest_fetch_failed", message: "forbidden character", spoil: offerFile("path", "a\nb.py")},
	{name: "path with a tab", code: "manifest_fetch_failed", message: "forbidden character", spoil: offerFile("path", "a\tb.py")},
	{name: "empty path", code: "manifest_fetch_failed", message: "an entry has no path", spoil: offerFile("path", "")},
	{name: "path .", code: "manifest_fetch_failed", message: "path is not relative and canonical: .", spoil: offerFile("path", ".")},
	{name: "path that ends with a slash", code: "manifest_fetch_failed", message: "path is not relative and canonical: pages/", spoil: offerFile("path", "pages/")},
	{name: "path of 300 characters", code: "manifest_fetch_failed", message: "path is longer than 255 bytes: " + strings.Repeat("p", 40), spoil: offerFile("path", strings.Repeat("p", 300))},
	{name: "path of 86 characters, 258 bytes", code: "manifest_fetch_failed", message: "path is longer than 255 bytes", spoil: offerFile("path", strings.Repeat("€", 86))},
	{name: "path twice", code: "manifest_fetch_failed", message: "lists a file twice: main.py", spoil: offerFile("path", "main.py")},
	{name: "the state file", code: "manifest_fetch_failed", message: "the manifest names the updater's own ota_state.txt", spoil: offerFile("path", "ota_state.txt")},
	{name: "the local manifest", code: "manifest_fetch_failed", message: "the manifest names the updater's own versions.json", spoil: offerFile("path", "versions.json")},
	{name: "the journal", code: "manifest_fetch_failed", message: "the manifest names the updater's own saguarota_backup/s0", spoil: offerFile("path", "saguarota_backup/s0")},
	{name: "the journal in other case", code: "manifest_fetch_failed", message: "the manifest names the updater's own Saguarota_Backup/S1", spoil: offerFile("path", "Saguarota_Backup/S1")},
	{name: "the state folder", code: "manifest_fetch_failed", message: "the manifest names the updater's own saguarota_backup", spoil: offerFile("path", "saguarota_backup")},
	{name: "a file and its folder", code: "apply_failed", message: "", spoil: func(r *rig) {
		r.site.serve(release2.with(release{"pages": release2["app.py"]}))
		offerFile("path", "pages")(r)
	}},

	{name: "no signature", options: authKey, code: "manifest_signature_invalid", message: "the manifest is not signed", spoil: offerKey("signature", nil)},
	{name: "signed with another key", options: authKey, code: "manifest_signature_invalid", message: "the signature is not by our key", asked: 1,
		spoil: func(r *rig) { r.site.sign("open") }},
	{name: "signature is a number", options: authKey, code: "manifest_signature_invalid", message: "", spoil: offerKey("signature", 42)},
	{name: "signature is a list", options: authKey, code: "manifest_signature_invalid", message: "", spoil: offerKey("signature", []any{"x"})},
	{name: "signature is empty", options: authKey, code: "manifest_signature_invalid", message: "", spoil: offerKey("signature", "")},
	{name: "signature is not ASCII", options: authKey, code: "manifest_signature_invalid", message: "the signature is not by our key", spoil: offerKey("signature", strings.Repeat("ä", 64))},
	{name: "version changed after signing", options: authKey, code: "manifest_signature_invalid", message: "the signature is not by our key", spoil: offerKey("version", 9999)},
	{name: "MD5 changed after signing", options: authKey, code: "manifest_signature_invalid", message: "the signature is not by our key", spoil: offerFile("md5", strings.Repeat("0", 32))},
	{name: "file added after signing", options: authKey, code: "manifest_signature_invalid", message: "the signature is not by our key",
		spoil: offerJSON(func(m map[string]any, files []any) {
			m["files"] = append(files, map[string]any{"path": "zz.py", "version": 200, "md5": strings.Repeat("0", 32)})
		})},
	{name: "signature in another field", options: authKey + `, manifest_signature_field="sig"`, code: "manifest_signature_invalid", message: "the manifest is not signed", spoil: func(*rig) {}},

	{name: "larger than max_manifest_bytes", options: "max_manifest_bytes=500", code: "manifest_fetch_failed", message: "the manifest is longer than 500 bytes", asked: 1, spoil: func(*rig) {}},
	{name: "endless", options: "max_manifest_bytes=20000", code: "manifest_fetch_failed", message: "the manifest is longer than 20000 bytes", asked: 1,
		spoil: answerManifest(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"version": 200, "files": [`)
			for i := range 1_000_000 {
				if _, err := fmt.Fprintf(w, `{"path": "f%07d.py", "version": 200, "md5": ""},`, i); err != nil {
					return
				}
			}
		})},
}

var badFiles = []badCase{
	{name: "404", code: "download_failed", message: "lib/util.py answered 404", asked: 3, spoil: answerFile(status(404))},
	{name: "500", code: "download_failed", message: "answered 500", asked: 4, spoil: answerFile(status(500))},
	{name: "503, three retries", options: "download_retries=3", code: "download_failed", message: "answered 503", asked: 6, spoil: answerFile(status(503))},
	{name: "ends early", code: "download_failed", message: "cut short", asked: 4, spoil: answerFile(func(w http.ResponseWriter, _ *http.Request) { die(w, 200, 27, "def util(") })},
	{name: "ends early, resumed", options: "resume_downloads=True", code: "download_failed", message: "cut short",
		spoil: answerFile(func(w http.ResponseWriter, _ *http.Request) { die(w, 200, 27, "def util(") })},
	{name: "other content", code: "md5_mismatch", message: "lib/util.py: what arrived is not what the manifest says", asked: 4,
		spoil: answerFile(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "def util(): return 3\n") })},
	{name: "other content, resumed", options: "resume_downloads=True", code: "md5_mismatch", message: "lib/util.py: what arrived is not what the manifest says",
		spoil: answerFile(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "def util(): return 3\n") })},
	{name: "shorter", code: "md5_mismatch", message: "lib/util.py: what arrived is not what the manifest says",
		spoil: answerFile(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "def util()") })},
	{name: "empty", code: "md5_mismatch", message: "lib/util.py: what arrived is not what the manifest says",
		spoil: answerFile(func(w http.ResponseWriter, _ *http.Request) {})},
	{name: "longer", code: "download_failed", message: "lib/util.py is longer than the 21 bytes expected",
		spoil: answerFile(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "def util(): return 2\n# more") })},
	{name: "endless", code: "download_failed", message: "lib/util.py is longer than the 21 bytes expected",
		spoil: answerFile(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := fmt.Fprint(w, strings.Repeat("spam", 1000)); err != nil {
					return
				}
			}
		})},
	{name: "HTML", code: "download_failed", message: "longer than the 21 bytes expected",
		spoil: answerFile(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html><body>Log in first</body></html>") })},
	{name: "the wrong part", options: "resume_downloads=True", code: "download_failed", message: "",
		spoil: answerFile(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 5-20/21")
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(w, "til(): return 2\n")
		})},
	{name: "wrong MD5", code: "md5_mismatch", message: "app.py: what arrived is not what the manifest says", spoil: offerFile("md5", strings.Repeat("0", 32))},
	{name: "right MD5, wrong SHA-256", code: "md5_mismatch", message: "app.py: what arrived is not what the manifest says", spoil: offerFile("sha256", strings.Repeat("0", 64))},
	{name: "no MD5, wrong SHA-256", code: "md5_mismatch", message: "app.py: what arrived is not what the manifest says",
		spoil: offerJSON(func(_ map[string]any, files []any) {
			f := files[0].(map[string]any)
			delete(f, "md5")
			f["sha256"] = strings.Repeat("0", 64)
		})},
	{name: "wrong size", code: "md5_mismatch", message: "app.py: what arrived is not what the manifest says", spoil: offerFile("size", 14)},
	{name: "a size beyond the flash", code: "apply_failed", message: "the update needs ", spoil: offerFile("size", 1<<40)},
	{name: "redirected in a circle", code: "download_failed", message: "redirect",
		spoil: answerFile(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) })},
	{name: "a folder where the release has a file", code: "apply_failed", message: "app.d is a folder; the release has a file there",
		spoil: func(r *rig) {
			r.write("app.d/keep.txt", "x")
			offerFile("path", "app.d")(r)
		}},
	{name: "a file where the release has a folder", code: "apply_failed", message: "pages is a file; the release has a folder there",
		spoil:  func(r *rig) { r.write("pages", "x") },
		repair: func(r *rig) { r.remove("pages") }},
	{name: "little free", code: "apply_failed", message: "the update needs ", asked: 1,
		spoil: func(r *rig) {
			r.site.publish(200, release2.with(release{"big.bin": strings.Repeat("x", 100_000)}))
			r.leaveFree(80_000)
		}},
	{name: "the flash is full", code: "apply_failed", message: "the file system is full", asked: 1,
		spoil: func(r *rig) {
			r.leaveFree(0)
		},
		repair: func(r *rig) { r.remove("fill") }},
	{name: "full in the middle of a download", code: "apply_failed", message: "the file system is full",
		spoil: func(r *rig) {
			r.site.publish(200, release2.with(release{"big.bin": strings.Repeat("x", 100_000), "big2.bin": strings.Repeat("y", 100_000)}))
			// The original's manifests have no sizes, so nobody knows.
			offerJSON(func(_ map[string]any, files []any) {
				for _, f := range files {
					delete(f.(map[string]any), "size")
				}
			})(r)
			r.leaveFree(150_000)
		}},
	{name: "full by a manifest", code: "apply_failed", message: "the file system is full",
		spoil: func(r *rig) {
			r.leaveFree(30_000)
			r.site.offerBytes([]byte(fmt.Sprintf(`{"version": 200, %s "files": []}`, strings.Repeat(`"x": "spam", `, 5000))))
		},
		repair: func(r *rig) { r.remove("fill") }},
	{name: "read-only", code: "apply_failed", message: "the file system is read-only",
		spoil:  func(r *rig) { r.board.ReadOnly = true },
		repair: func(r *rig) { r.board.ReadOnly = false }},
	{name: "the state folder is a file", code: "apply_failed", message: "saguarota_backup is a file; the updater keeps its state in a folder of that name",
		spoil:  func(r *rig) { r.write(stateFolder, "x") },
		repair: func(r *rig) { r.remove(stateFolder) }},
}

// TestUpdateBad has a board meet every one of these, with its old release intact and running, and
// a reason that can be read; and then the next good release must install as if nothing had been.
func TestUpdateBad(t *testing.T) {
	for _, group := range []struct {
		name  string
		cases []badCase
		boots int
	}{
		{"manifest", badManifests, 1},
		// What the first attempt left must not be in the way of the second.
		{"file", badFiles, 2},
	} {
		t.Run(group.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				for _, tt := range group.cases {
					t.Run(tt.name, func(t *testing.T) {
						t.Parallel()
						testBad(t, fs, tt, group.boots)
					})
				}
			})
		})
	}
}

func testBad(t *testing.T, fs rehearse.FileSystem, tt badCase, boots int) {
	r := newRig(t, setup{fs: fs, options: tt.options})
	r.site.publish(200, release2)
	r.site.sign("sesame")
	tt.spoil(r)
	before := r.live()
	r.site.asked()
	for i := range boots {
		res := r.bootTo(rehearse.AtREPL)
		want := "error " + tt.code + " "
		_, line, _ := strings.Cut(res.Output, "\nerror ")
		line, _, _ = strings.Cut(line, "\n")
		if !strings.HasPrefix("error "+line, want) || !strings.Contains(line, tt.message) || len(line) < len(want)+10 {
			t.Errorf("the board says\n%s\nwant\n%s… %s …", "error "+line, want, tt.message)
		}
		says(t, res.Output, "app one", "confirmed False")
		if asked := r.site.asked(); tt.asked > 0 && i == 0 && len(asked) != tt.asked {
			t.Errorf("the board asked for %q, want %d requests", asked, tt.asked)
		}
		r.holds(before)
	}

	// All that was wrong ends.
	r.site.misbehave(nil)
	if tt.options != "" {
		r.set(strings.NewReplacer("max_manifest_bytes=500", "", `, manifest_signature_field="sig"`, "").Replace(tt.options), "")
	}
	if tt.repair != nil {
		tt.repair(r)
	}
	r.site.publish(201, release2)
	r.site.sign("sesame")
	says(t, r.run(), "error None None", "app two", "confirmed True")
	r.holdsRelease(release2)
	r.isClean()
}

// TestUpdateMends has things wrong that a board gets over by itself.
func TestUpdateMends(t *testing.T) {
	type mend struct {
		name    string
		options string
		spoil   func(r *rig)
		says    string
	}
	cases := []mend{
		{name: "503, then the manifest", spoil: once("versions.json", status(503))},
		{name: "503, then a file", spoil: once("app.py", status(503)), says: "answered 503; trying again in "},
		{name: "408, then a file", spoil: once("app.py", status(408)), says: "answered 408; trying again in "},
		{name: "garbage, then a file", spoil: once("app.py", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "NAME = 'to!'\n") }), says: "not what the manifest says; trying again"},
		{name: "redirected", spoil: once("app.py", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "app.py?again", http.StatusFound) })},
		{name: "no versions.json on the board", spoil: func(r *rig) { r.remove("versions.json") }},
		{name: "garbage in versions.json", spoil: func(r *rig) { r.write("versions.json", "\xff\xfe\x00garbage") }},
		{name: "versions.json is empty", spoil: func(r *rig) { r.write("versions.json", "") }},
		{name: "versions.json is cut", spoil: func(r *rig) { r.write("versions.json", `{"version": 100, "files": [{"path": "app.py", "ver`) }},
		{name: "versions.json of other types", spoil: func(r *rig) { r.write("versions.json", `{"version": "100", "files": {"app.py": 5}}`) }},
		{name: "progress_callback raises", options: "progress_callback=lambda e, d: 1 / 0", spoil: func(*rig) {}, says: "OTA: progress_callback failed: ZeroDivisionError"},
		{name: "progress_callback is no function", options: "progress_callback=5", spoil: func(*rig) {}, says: "OTA: progress_callback failed: TypeError"},
		{name: "progress_callback takes another number of arguments", options: "progress_callback=lambda e: None", spoil: func(*rig) {}, says: "OTA: progress_callback failed: TypeError"},
		{name: "progress_callback changes the details", options: "progress_callback=lambda e, d: d.clear()", spoil: func(*rig) {}},
		{name: "tiny chunks", options: "io_chunk_size=1, md5_chunk_size=1", spoil: func(*rig) {}},
		{name: "huge chunks", options: "io_chunk_size=100000, md5_chunk_size=100000", spoil: func(*rig) {}},
		{name: "ota_state.txt is garbage", spoil: func(r *rig) { r.write("ota_state.txt", "\xff\xfeconfirm_pending") }},
		{name: "ota_state.txt is a folder", spoil: func(r *rig) {
			r.remove("ota_state.txt")
			r.write("ota_state.txt/x", "x")
		}},
		{name: "garbage as the list of changes", spoil: func(r *rig) { r.write(stateFolder+"/todo", "\xff\x00garbage\nr\t1\n") }},
		{name: "garbage as the plan", spoil: func(r *rig) { r.write(stateFolder+"/plan", "\xff\x00garbage\nr\t1\n") }},
		{name: "an empty plan", spoil: func(r *rig) { r.write(stateFolder+"/plan", "") }},
		{name: "a plan of lines that mean nothing", spoil: func(r *rig) {
			r.write(stateFolder+"/plan", "r\tx\tx\tx\tx\tx\tx\tx\tapp.py\nd\t\t\t\t\t\t\t\tmain.py\n")
		}},
		{name: "garbage as the plan and in both slots", spoil: func(r *rig) {
			for _, name := range []string{"s0", "s1", "plan", "todo"} {
				r.write(stateFolder+"/"+name, "\xff\x00garbage\nr\t1\n")
			}
		}},
		{name: "an empty plan and empty slots", spoil: func(r *rig) {
			for _, name := range []string{"s0", "s1", "plan", "todo"} {
				r.write(stateFolder+"/"+name, "")
			}
		}},
		{name: "half-finished downloads of other releases", spoil: func(r *rig) {
			for i := range 40 {
				r.write(fmt.Sprintf("%s/%012x.n", stateFolder, i), "left over")
			}
			r.write(stateFolder+"/manifest.n", "left over")
			r.write(stateFolder+"/some/folder/of/the/original.py", "left over")
		}},
	}
	for _, slots := range [][]string{{"s0"}, {"s1"}, {"s0", "s1"}} {
		for name, text := range map[string]string{
			"empty": "", "garbage": "\xff\xfegarbage", "of another version": "saguarota 2 99 I x y\n",
			"with a wrong sum": "saguarota\t1\t99\tS\tm0\t-\t-\t0\t0\t-\t0\t-\t-\tdeadbeef\n", "long": strings.Repeat("x\t", 5000),
		} {
			cases = append(cases, mend{name: strings.Join(slots, " and ") + " " + name, spoil: func(r *rig) {
				for _, s := range slots {
					r.write(stateFolder+"/"+s, text)
				}
			}})
		}
	}
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		for _, tt := range cases {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, setup{fs: fs, options: tt.options})
				// One update goes before, so that there is a journal to spoil.
				r.site.publish(150, release3)
				r.run()
				r.site.publish(200, release2)
				tt.spoil(r)
				said := r.run()
				if tt.says != "" {
					says(t, said, tt.says)
				}
				says(t, said, "OTA: installed; restarting", "app two", "confirmed True")
				r.holdsRelease(release2)
				r.isClean()
				r.site.publish(300, release1)
				r.updates(release1)
			})
		}
	})
}

// many returns n small files.
func many(n int, text string) release {
	r := release{}
	for i := range n {
		r[fmt.Sprintf("many/m%02d.py", i)] = "X = '" + text + "'\n"
	}
	return r
}

// Paths that differ only in case are one file on FAT, and two on littlefs.
func TestUpdateCaseCollision(t *testing.T) {
	pairs := [][2]string{{"app2.py", "App2.py"}, {"Pages/a.py", "pages/A.py"}}
	for _, pair := range pairs {
		t.Run(pair[0], func(t *testing.T) {
			onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
				r := newRig(t, setup{fs: fs})
				rel := release2.with(release{pair[0]: "one = 1\n", pair[1]: "two = 2\n"})
				// Far from each other, further than what is compared at once.
				far := 300
				if fs == rehearse.Littlefs { // it compares nothing
					far = 20
				}
				for i := range far {
					rel[fmt.Sprintf("Z%03d.py", i)] = "z = 1\n"
				}
				m := &manifest.Manifest{Version: 200}
				r.site.publish(200, release2)
				for name, text := range rel {
					f, ok := r.site.current.Lookup(name)
					if !ok {
						f, _ = r.site.current.Lookup("app.py")
						f.Path, f.Size, f.SHA256, f.MD5 = name, int64(len(text)), sumOf(text), ""
					}
					m.Files = append(m.Files, f)
				}
				slices.SortFunc(m.Files, func(a, b manifest.File) int { return strings.Compare(a.Path, b.Path) })
				r.site.serve(rel)
				var files []string
				for _, f := range m.Files {
					files = append(files, fmt.Sprintf(`{"path": %q, "version": %d, "md5": %q, "size": %d, "sha256": %q}`, f.Path, f.Version, f.MD5, f.Size, f.SHA256))
				}
				r.site.offerBytes([]byte(`{"version": 200, "files": [` + strings.Join(files, ",\n") + `]}`))
				before := r.live()
				if fs == rehearse.Littlefs {
					r.updates(rel)
					return
				}
				says(t, r.run(), "error manifest_fetch_failed two paths differ in case only: ", "app one")
				r.holds(before)
				r.site.publish(201, release2)
				r.updates(release2)
			})
		})
	}
}

// A release with a file where it has a folder, too, is refused before anything is fetched.
func TestUpdateFileAndFolder(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs})
		before := r.live()
		r.site.offerBytes([]byte(originalManifest(200, release2.with(release{"x/y": "file", "x/y-z": "another", "x/y.z/q": "q", "x/y/z": "in a folder"}))))
		r.site.asked()
		says(t, r.bootTo(rehearse.AtREPL).Output, "error apply_failed the release has x/y as a file and as a folder", "app one")
		for _, name := range r.site.asked() {
			if name != "versions.json" {
				t.Errorf("the board asked for %s", name)
			}
		}
		r.holds(before)
	})
}

// A board that has gone to a folder below the one that it updates: the updater's own files would
// have two names.
func TestUpdateFromBelow(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		r := newRig(t, setup{fs: fs, options: `dest_dir="/"`})
		r.write("data/x", "x")
		r.write("boot.py", "import os, settings\nos.chdir('/data')\n"+bootPy)
		before := r.live()
		r.site.publish(200, release2.with(release{"boot.py": bootPy + "\n"}))
		says(t, r.bootTo(rehearse.AtREPL).Output, "error apply_failed dest_dir / has the working directory /data in it; call os.chdir('/') first")
		got := r.live()
		for name, sum := range before {
			if got[name] != sum {
				t.Errorf("%s has changed", name)
			}
		}
	})
}
