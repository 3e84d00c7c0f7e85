//go:build browser

package dashboard_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/simulate"
)

// chromium returns the program: that of SAGUAROTA_CHROMIUM, of .tools, or of the system.
func chromium(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("SAGUAROTA_CHROMIUM"); path != "" {
		return path
	}
	tools := os.Getenv("SAGUAROTA_TOOLS")
	if tools == "" {
		tools = filepath.Join("..", "..", ".tools")
	}
	for _, name := range []string{filepath.Join(tools, "bin", "chromium"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			if path, err = filepath.Abs(path); err == nil {
				return path
			}
		}
	}
	t.Fatal("there is no Chromium: install the system's package, or name one in SAGUAROTA_CHROMIUM")
	return ""
}

// a browser is Chromium, with one tab.
type browser struct {
	*rig
	ctx context.Context

	mu       sync.Mutex
	problems []string // that the browser has told of: errors, and what the policy forbade
	axe      string
}

// browserTime is how long all that a test does in the browser may take.
const browserTime = 5 * time.Minute

// untilTime is how long anything in the browser may take.
const untilTime = time.Minute

func newBrowser(r *rig) *browser {
	t := r.t.(*testing.T)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(filepath.Join(t.TempDir(), "browser")), chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	ctx, end := context.WithTimeout(t.Context(), browserTime)
	t.Cleanup(end)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{rig: r, ctx: ctx}
	b.do(chromedp.Navigate("about:blank"))
	r.must(chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				b.problems = append(b.problems, e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			b.problems = append(b.problems, e.ExceptionDetails.Text)
		}
	}))
	zipped, err := os.Open(filepath.Join("testdata", "axe.min.js.gz"))
	r.must(err)
	defer zipped.Close()
	plain, err := gzip.NewReader(zipped)
	r.must(err)
	script, err := io.ReadAll(plain)
	r.must(err)
	b.axe = string(script)
	return b
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	b.must(chromedp.Do(b.ctx, steps...))
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.web.URL + path))
}

// click clicks what a CSS selector chooses, when it is there.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// until waits until an expression is true in the page.
func (b *browser) until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, untilTime)
	defer cancel()
	for {
		_, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(untilTime)))
		if err == nil {
			return
		}
		// What waits ends when another page comes; then it is looked for there.
		if ctx.Err() != nil {
			text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
			b.t.Fatalf("%s: %v\n%s", expression, err, text)
		}
	}
}

// says waits until the page says a text.
func (b *browser) says(text string) {
	b.t.Helper()
	quoted, err := json.Marshal(text)
	b.must(err)
	b.until("document.body !== null && document.body.innerText.includes(" + string(quoted) + ")")
}

func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	b.must(err)
	return v
}

func (b *browser) signIn(secret string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS("#token")), chromedp.SendKeys(chromedp.CSS("#token"), secret+"\r"))
}

// looks is how somebody looks at a page.
type looks struct {
	name   string
	width  int64
	scheme string
}

var (
	light = looks{"light", 1280, "light"}
	dark  = looks{"dark", 1280, "dark"}
	phone = looks{"phone", 390, "light"}
)

func (b *browser) look(l looks) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: 900, DeviceScaleFactor: 1, Mobile: l.width < 500})
	b.must(err)
	_, err = chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: l.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	b.must(err)
}

// accessible checks a page with axe-core.
func (b *browser) accessible(what string) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](b.axe+";true"))
	b.must(err)
	found := evaluate[[]string](b, `axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations
		.filter((v) => v.impact === "serious" || v.impact === "critical")
		.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html.slice(0, 200)).join(" | ")))`)
	for _, violation := range found {
		b.t.Errorf("%s: %s", what, violation)
	}
}

// picture writes a picture of the page where SAGUAROTA_PICTURES names a folder.
func (b *browser) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("SAGUAROTA_PICTURES")
	if dir == "" {
		return
	}
	data, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	b.must(err)
	b.must(os.WriteFile(filepath.Join(dir, name+".png"), data, 0o666))
}

// play lets boards poll, which do the same each time.
func (b *browser) play(boards, rounds int, undo, fail float64) {
	b.t.Helper()
	_, err := simulate.Run(b.t.Context(), simulate.Config{
		URL: b.web.URL + "/ota/badge/", Boards: boards, Rounds: rounds, Connections: 4, Undo: undo, Fail: fail, Seed: 1, Now: time.Now,
	})
	b.must(err)
	b.clock.Add(1)
}

// TestBrowser drives Chromium against the server, with boards that are played.
func TestBrowser(t *testing.T) {
	r := newRig(t, "badge")
	old := r.publish("print(1)\n", "1.4.1")
	r.must(r.store.SetChannel(t.Context(), r.ada(), "badge", "stable", old))
	r.must(r.server.Refresh(t.Context()))
	b := newBrowser(r)
	b.play(400, 4, 0, 0)
	version := r.publish("print(2)\n", "1.4.2")
	id := r.start(version, func(p *fleet.Plan) { p.Halt = fleet.HaltRule{Percent: 40, AtLeast: 300, Kind: fleet.KindAll} })
	rollout := fmt.Sprint("/ui/rollouts/", id)

	// Signing in.
	b.open(rollout)
	b.accessible("sign-in")
	b.signIn("sga_wrong")
	b.says("This token does not open the dashboard")
	b.problems = nil // the answer's status
	b.signIn(r.token("ada", fleet.ScopeAdmin))
	b.says("Rollout 1: 1.4.2")

	// The page moves, and is not loaded again.
	evaluate[bool](b, "window.same = true")
	b.says("0\nrunning it, not confirmed yet")
	b.play(400, 3, 0.03, 0.04)
	b.until(`Number(document.querySelector("#stage-confirmed b").textContent) + Number(document.querySelector("#stage-trial b").textContent) > 100`)
	b.until(`document.querySelector("#errors ~ .group") !== null`)
	// What is open stays open, and what has the focus keeps it.
	evaluate[bool](b, `document.querySelector(".group summary").click(); document.getElementById("do-abort").focus(); true`)
	trials, err := r.store.Boards(t.Context(), "badge", fleet.Filter{Rollout: id, Stage: fleet.Trial}, "", 1)
	r.must(err)
	r.poll(fleet.Report{ID: trials[0].ID, Version: old, Error: "trial_failed"})
	r.clock.Add(1)
	b.says("trial_failed")
	b.until(`document.querySelector(".group[open]") !== null && document.activeElement.id === "do-abort" && window.same`)

	pages := []struct{ name, path string }{
		{"fleet", "/ui/apps/badge/"}, {"rollout", rollout}, {"abort", rollout + "/abort"}, {"rollouts", "/ui/apps/badge/rollouts"},
		{"boards", "/ui/apps/badge/boards?q=sim-0000001"}, {"board", "/ui/apps/badge/board?id=sim-00000007"}, {"none", "/ui/apps/badge/boards?q=nothing"},
		{"silent", "/ui/apps/badge/silent"}, {"releases", "/ui/apps/badge/releases"},
		{"release", fmt.Sprintf("/ui/apps/badge/releases/%d?with=%d", version, old)}, {"audit", "/ui/audit"}, {"tokens", "/ui/tokens"}, {"webhooks", "/ui/webhooks"},
	}
	for _, l := range []looks{light, dark, phone} {
		b.look(l)
		for _, p := range pages {
			b.open(p.path)
			b.do(chromedp.WaitVisible(chromedp.CSS("h1")))
			if l != phone { // there, only the width is another
				b.accessible(p.name + ", " + l.name)
			}
			if over := evaluate[float64](b, "document.documentElement.scrollWidth - window.innerWidth"); over > 0 {
				t.Errorf("%s, %s: %v pixels wider than the window", p.name, l.name, over)
			}
			b.picture(p.name + "-" + l.name)
		}
	}
	b.look(light)

	// Steering, by the links and buttons that there are.
	b.open(rollout)
	b.click("#do-pause")
	b.says("No further board begins.")
	b.do(chromedp.SendKeys(chromedp.CSS("#reason"), "lunch"))
	b.click("form.card button")
	b.says("The rollout is paused.")
	b.says("lunch")

	// Searching as one types.
	b.open("/ui/apps/badge/boards")
	evaluate[bool](b, "window.same = true")
	b.do(chromedp.SendKeys(chromedp.CSS("#q"), "sim-0000001"))
	b.until(`document.querySelectorAll("tbody tr").length === 10 && location.search.includes("q=sim-0000001") && window.same`)
	b.click(`input[value="sim-00000012"]`)
	b.do(chromedp.SetValue(chromedp.CSS("#action"), "tag"), chromedp.SendKeys(chromedp.CSS("#bulkvalue"), "lab"))
	b.click("fieldset.bulk button")
	b.says("Add a tag: 1 board?")
	b.click("form.card button")
	b.says("The boards are changed.")
	board, err := r.store.Board(t.Context(), "badge", "sim-00000012")
	r.must(err)
	if len(board.Tags) != 1 || board.Tags[0] != "lab" {
		t.Errorf("tags %q", board.Tags)
	}

	// Without JavaScript.
	_, err = chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	r.must(err)
	b.open(rollout)
	b.click("#do-resume")
	b.click("form.card button")
	b.do(chromedp.WaitVisible(chromedp.CSS(".banner.good")))
	_, err = chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{})
	r.must(err)
	b.open(rollout)
	b.says("running")
	if len(b.problems) > 0 {
		t.Errorf("the browser complains: %q", b.problems)
	}
	// Whoever is signed out sees it.
	tokens, err := r.store.Tokens(t.Context())
	r.must(err)
	r.must(r.store.RevokeToken(t.Context(), r.ada(), tokens[0].ID))
	b.says("The sign-in has ended")
	if strings.Contains(r.log.String(), "level=ERROR") {
		t.Error(r.log.String())
	}
}
