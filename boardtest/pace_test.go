package boardtest

import (
	"encoding/json"
	"strings"
	"testing"
)

// What min_bytes_per_s and download_deadline_s say of a server, by a clock that is told what time it is.
func TestPace(t *testing.T) {
	type step [2]int // milliseconds that pass, bytes that then arrive
	// drip is n bytes, one every so many milliseconds.
	drip := func(ms, n int) []step {
		var steps []step
		for range n {
			steps = append(steps, step{ms, 1})
		}
		return steps
	}
	const wraps = -10_000 // 10 s before the counter of milliseconds starts anew
	tests := []struct {
		name            string
		least, deadline int
		start           int
		steps           []step
		want            string
	}{
		{"a byte a second, to the end of the grace", 16, 0, 0, drip(1000, 20), "20 None"},
		{"a byte a second", 16, 0, 0, drip(1000, 60), "21 too slow: 21 bytes in 21 s"},
		{"a byte a second, while ticks wrap around", 16, 0, wraps, drip(1000, 60), "21 too slow: 21 bytes in 21 s"},
		{"nothing, then all within the grace", 16, 0, 0, []step{{20_000, 320}, {1, 1}, {10_000, 0}}, "3 too slow: 321 bytes in 30 s"},
		{"one millisecond of grace left", 16, 0, 0, []step{{20_000, 1}}, "1 None"},
		{"one millisecond too long", 16, 0, 0, []step{{20_001, 1}}, "1 too slow: 1 bytes in 20 s"},
		{"just fast enough", 16, 0, 0, []step{{20_001, 320}, {9_999, 160}, {60_000, 960}}, "3 None"},
		{"one byte short", 16, 0, 0, []step{{30_000, 479}}, "1 too slow: 479 bytes in 30 s"},
		{"a fast start does not last for ever", 16, 0, 0, append([]step{{1000, 1600}}, drip(60_000, 3)...), "3 too slow: 1602 bytes in 121 s"},
		{"no limit", 0, 0, 0, drip(60_000, 30), "30 None"},
		{"the deadline", 0, 60, 0, drip(10_000, 9), "7 not done within download_deadline_s=60"},
		{"the deadline, while ticks wrap around", 0, 60, wraps, drip(10_000, 9), "7 not done within download_deadline_s=60"},
		{"the deadline, of a fast server", 16, 60, 0, []step{{30_000, 100_000}, {30_000, 100_000}, {1, 100_000}}, "3 not done within download_deadline_s=60"},
	}
	var input strings.Builder
	for _, tt := range tests {
		line, err := json.Marshal(map[string]any{"least": tt.least, "deadline": tt.deadline, "start": tt.start, "steps": tt.steps})
		if err != nil {
			t.Fatal(err)
		}
		input.Write(append(line, '\n'))
	}
	got := runTrustScript(t, "256K", input.String(), "pace.py")
	if len(got) != len(tests) {
		t.Fatalf("%d answers to %d cases:\n%s", len(got), len(tests), strings.Join(got, "\n"))
	}
	for i, tt := range tests {
		if got[i] != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got[i], tt.want)
		}
	}
}
