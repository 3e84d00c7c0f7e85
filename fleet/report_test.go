package fleet_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cactuscon/saguarota/fleet"
)

func TestParseReport(t *testing.T) {
	got, err := fleet.ParseReport("id=4f2a-1; version=1700000000; state=idle; error=download_failed; board=Raspberry Pi Pico W; micropython=1.26.1; lib=2.0; free=412000")
	if err != nil {
		t.Fatal(err)
	}
	want := fleet.Report{ID: "4f2a-1", Version: 1700000000, State: "idle", Error: "download_failed", Board: "Raspberry Pi Pico W", MicroPython: "1.26.1", Lib: "2.0", Free: 412000}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParseReportTakes(t *testing.T) {
	long := strings.Repeat("ä", 40)
	for header, want := range map[string]fleet.Report{
		"id=a":                          {ID: "a", Free: -1},
		" id=a ;; version=2 ;":          {ID: "a", Version: 2, Free: -1},
		"later=%zz; id=a; more=1=2":     {ID: "a", Free: -1}, // keys of the future
		"id=a; board=x=y":               {ID: "a", Board: "x=y", Free: -1},
		"id=a; board=x%3By%25":          {ID: "a", Board: "x;y%", Free: -1},
		"id=a; board=%C3%A4":            {ID: "a", Board: "ä", Free: -1},
		"id=a; board=" + long:           {ID: "a", Board: long[:64], Free: -1},
		"id=a; lib=a" + long:            {ID: "a", Lib: "a" + long[:62], Free: -1}, // no half character
		"id=" + strings.Repeat("z", 64): {ID: strings.Repeat("z", 64), Free: -1},
		"id=a; channel=beta; error=":    {ID: "a", Channel: "beta", Free: -1},
	} {
		got, err := fleet.ParseReport(header)
		if err != nil {
			t.Errorf("%q: %v", header, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", header, d)
		}
	}
}

func TestParseReportRefuses(t *testing.T) {
	for header, why := range map[string]string{
		"":                                    "without id",
		"version=1":                           "without id",
		"id=":                                 "without id",
		"id=..":                               "cannot have the id",
		"id=a/b":                              "other characters",
		"id=a%2Fb":                            "other characters",
		"id=ä":                                "other characters",
		"id=a%0d%0aX: y":                      "U+000D",
		"id=" + strings.Repeat("z", 65):       "65 bytes",
		"id=a; id=a":                          "twice",
		"id=a; version":                       "no value",
		"id=a; version=":                      "no number",
		"id=a; version=-1":                    "no number",
		"id=a; version=+1":                    "no number",
		"id=a; version=1.0":                   "no number",
		"id=a; version=9223372036854775808":   "no number",
		"id=a; free=lots":                     "no number",
		"id=a; board=%":                       "escape",
		"id=a; board=%ff":                     "not UTF-8",
		"id=a; board=%00":                     "U+0000",
		"id=a; board=%7f":                     "U+007F",
		"id=a; board=%EF%BF%BD":               "U+FFFD",
		"id=a; x=" + strings.Repeat("z", 768): "776 bytes",
	} {
		_, err := fleet.ParseReport(header)
		if !errors.Is(err, fleet.ErrInvalid) || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want ErrInvalid with %q", header, err, why)
		}
	}
}

// Every report can be sent, and arrives as it was.
func TestReportRoundTrip(t *testing.T) {
	text := rapid.StringMatching(`([^\pC\x{FFFD} ]([^\pC\x{FFFD}]{0,10}[^\pC\x{FFFD} ])?)?`)
	rapid.Check(t, func(t *rapid.T) {
		want := fleet.Report{
			ID:          rapid.StringMatching(`[A-Za-z0-9_:-]{1,64}`).Draw(t, "id"),
			Version:     rapid.Int64Min(0).Draw(t, "version"),
			State:       text.Draw(t, "state"),
			Error:       text.Draw(t, "error"),
			Board:       text.Draw(t, "board"),
			MicroPython: text.Draw(t, "micropython"),
			Lib:         text.Draw(t, "lib"),
			Channel:     text.Draw(t, "channel"),
			Free:        rapid.Int64Min(-1).Draw(t, "free"),
		}
		header := want.String()
		if len(header) > fleet.MaxReportBytes {
			return
		}
		got, err := fleet.ParseReport(header)
		if err != nil {
			t.Fatalf("%q: %v", header, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%q: %s", header, d)
		}
		for _, c := range []byte(header) {
			if c < ' ' || c > '~' {
				t.Fatalf("%q cannot be a header", header)
			}
		}
	})
}

func FuzzParseReport(f *testing.F) {
	f.Add("id=4f2a; version=1; state=idle; board=x%3By; free=2")
	f.Add("id=a; version")
	f.Fuzz(func(t *testing.T, header string) {
		r, err := fleet.ParseReport(header)
		if err != nil {
			return
		}
		if again, err := fleet.ParseReport(r.String()); err == nil && again != r {
			t.Errorf("%q is %+v, which is %+v", header, r, again)
		}
	})
}
