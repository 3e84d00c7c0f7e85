package devserver

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestEventString(t *testing.T) {
	when := time.Date(2026, 11, 24, 9, 5, 7, 0, time.UTC)
	for _, test := range []struct {
		event Event
		want  string
	}{
		{
			Event{Time: when, Remote: "192.168.1.20", Board: "Pico W", Method: "GET", Path: "/ota/main.py", Status: 200, Bytes: 1234, Duration: 3 * time.Millisecond, Note: "file 1, 1.2 kB of this update so far"},
			"09:05:07 192.168.1.20 Pico W GET /ota/main.py 200 1.2 kB 3 ms, file 1, 1.2 kB of this update so far",
		},
		{
			Event{Time: when, Remote: "::1", Method: "HEAD", Path: "/ota/x", Status: 404},
			"09:05:07 ::1 HEAD /ota/x 404 0 B 0 ms",
		},
		{Event{Time: when, Note: "warning: a link"}, "09:05:07 warning: a link"},
	} {
		if got := test.event.String(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 12_400: "12.4 kB", 999_949: "999.9 kB", 999_950: "1.0 MB",
		2_500_000: "2.5 MB", 999_999_999: "1.0 GB", 7_200_000_000_000: "7200.0 GB",
	} {
		if got := FormatBytes(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 999 * time.Microsecond: "0 ms", 999 * time.Millisecond: "999 ms", time.Second: "1.0 s", 90 * time.Second: "90.0 s",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestBoardName(t *testing.T) {
	for agent, want := range map[string]string{
		"": "",
		"saguarota/0.2.0 (ESP32_GENERIC_S3; micropython 1.25.0)": "ESP32_GENERIC_S3",
		"saguarota/0.2.0 (Pico W; micropython 1.22.2)":           "Pico W",
		"saguarota/0.2.0 (linux)":                                "linux",
		"saguarota/0.2.0":                                        "saguarota/0.2.0",
		"saguarota/0.2.0 (":                                      "",
		"Mozilla/5.0 (X11; Linux x86_64)":                        "Mozilla/5.0",
		"   ":                                                    "",
		"x\x1b[2Jy":                                              "x?[2Jy",
		"saguarota/1 (" + strings.Repeat("n", 60) + ";)":         strings.Repeat("n", maxShownBoard) + "…",
	} {
		if got := boardName(agent); got != want {
			t.Errorf("%q: got %q, want %q", agent, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"main.py", "\x1b]0;title\a", "a\nb", "\u202egpj.exe", "\x80\xff", strings.Repeat("x", 300), "é日本"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := printable(s, 50)
		if n := utf8.RuneCountInString(got); n > 51 {
			t.Errorf("%d characters", n)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Errorf("%q holds %q", got, r)
			}
		}
	})
}
