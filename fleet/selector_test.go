package fleet_test

import (
	"testing"

	"github.com/cactuscon/saguarota/fleet"
)

func TestSelector(t *testing.T) {
	b := &fleet.Board{ID: "b1", Tags: []string{"blue", "lab", "north"}}
	r := &fleet.Report{ID: "b1", Version: 4, Board: "Pico W", MicroPython: "1.26.1", Lib: "2.0", Free: 4000}
	for _, c := range []struct {
		s    fleet.Selector
		want bool
	}{
		{fleet.Selector{}, true},
		{fleet.Selector{Tags: []string{"lab"}}, true},
		{fleet.Selector{Tags: []string{"north", "lab"}}, true},
		{fleet.Selector{Tags: []string{"lab", "red"}}, false},
		{fleet.Selector{Not: []string{"red"}}, true},
		{fleet.Selector{Not: []string{"red", "blue"}}, false},
		{fleet.Selector{Cohort: []string{"red", "blue"}}, true},
		{fleet.Selector{Cohort: []string{"red"}}, false},
		{fleet.Selector{Board: "Pico W", MicroPython: "1.26.1", Lib: "2.0", Version: 4}, true},
		{fleet.Selector{Board: "Pico"}, false},
		{fleet.Selector{MicroPython: "1.26"}, false},
		{fleet.Selector{Lib: "2"}, false},
		{fleet.Selector{Version: 3}, false},
		{fleet.Selector{MinFree: 4000}, true},
		{fleet.Selector{MinFree: 4001}, false},
	} {
		if got := c.s.Matches(b, r); got != c.want {
			t.Errorf("%+v: %v", c.s, got)
		}
	}
}
