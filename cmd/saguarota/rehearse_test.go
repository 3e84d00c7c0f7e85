package main

import (
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
)

// The picture must fit 80 columns, show the worst of the cuts that share a letter, and say which
// write a line starts with.
func TestPicture(t *testing.T) {
	cuts := make([]rehearse.Cut, 3*maxCells)
	for i := range cuts {
		cuts[i] = rehearse.Cut{Write: i, Second: -1, Outcome: rehearse.NewRelease}
	}
	cuts[1].Outcome = rehearse.Mixed
	cuts[2].Outcome = rehearse.OldRelease
	cuts[5].Outcome = rehearse.Stuck
	cuts[7].Bootless = true
	cuts[9].Outcome = rehearse.OldRelease
	r := &rehearse.Report{FileSystem: rehearse.Littlefs, Cuts: cuts}
	if r.Safe() {
		t.Error("a report with a mixed and a stuck board is safe")
	}
	f := &rehearsed{Reports: []*rehearse.Report{r}}
	text := f.text(false)
	for _, want := range []string{
		"3840 cuts, 3 in a letter (the worst of them)\n       0 MXbonnn",
		"\n     192 nnn",
		"1 ran a mix (M), 1 were stuck (X)",
		"1 started main.py once without boot.py",
		"mixed, cut after write 1, without network:",
		"stuck, cut after write 5, without network:",
		"\nNOT safe to publish\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report has no %q:\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		if len(strings.TrimSpace(line)) > cellsInLine && strings.Trim(strings.TrimSpace(line), "0123456789 nobMX") == "" && len(line) > 80 {
			t.Errorf("a line of %d columns: %q", len(line), line)
		}
	}
	if coloured := f.text(true); !strings.Contains(coloured, "\x1b[41;97mM\x1b[45;97mX\x1b[43;30mb\x1b[44;97mo\x1b[42;30mn") {
		t.Errorf("not the colours of the letters:\n%q", coloured[:300])
	}
}

// A page shows every cut and every harmed board's console, whatever these contain.
func TestReportPage(t *testing.T) {
	r := &rehearse.Report{FileSystem: rehearse.FAT, Console: "<b>fine</b>", Cuts: []rehearse.Cut{
		{Second: -1, Outcome: rehearse.OldRelease},
		{Write: 1, Second: 3, Torn: true, Network: true, Outcome: rehearse.Stuck, Console: "<script>"},
	}}
	page, err := htmlReport(&rehearsed{Old: "<old>", New: "new", Reports: []*rehearse.Report{r}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`<i class="o" title="old: cut after write 0, without network">`,
		`<i class="X" title="stuck: cut in the middle of write 2 and again after write 3 of the recovery, with the server in reach">`,
		"<pre>&lt;script&gt;</pre>", "&lt;b&gt;fine", "<h1>&lt;old&gt; → new</h1>", "not safe to publish",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
	for _, outside := range []string{"http:", "https:", "src=", "href="} {
		if strings.Contains(string(page), outside) {
			t.Errorf("the page refers to something outside: %s", outside)
		}
	}
}
