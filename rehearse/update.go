package rehearse

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// whole plays the update without a cut.
func (p *play) whole(ctx context.Context) error {
	board := p.board("whole")
	if err := os.WriteFile(board.Image, p.base, 0o666); err != nil {
		return err
	}
	res, err := p.boot(ctx, board, false)
	if err != nil {
		return err
	}
	if res.Tree == "" {
		p.report.Console = res.Output
		p.report.Problem = "the old release does not start main.py"
		return nil
	}
	p.old = tree{res.Tree, res.Rest}
	p.taken = res.Heap.Sim
	p.restless = map[string]bool{res.Tree: res.Ending.Reboots()}
	p.room, p.least = res.Room, res.Room

	if err := os.WriteFile(board.Image, p.base, 0o666); err != nil {
		return err
	}
	board.Log = filepath.Join(p.dir, "whole.log")
	var console strings.Builder
	raised := "" // by the new release
	ended := 0   // writes
	waits := 0   // boots of the old release that did not lead to another
	for boots := range maxBoots {
		requests, downloaded := int(p.site.requests.Load()), int(p.site.bytes.Load())
		if res, err = p.boot(ctx, board, true); err != nil {
			return err
		}
		fmt.Fprintf(&console, "--- boot %d: %s\n%s", boots+1, res.Ending, res.Output)
		if p.log, err = ReadLog(board.Log); err != nil {
			return err
		}
		switch {
		case res.Tree == "" || res.Tree == p.old.whole:
		case p.new.whole == "":
			p.new = tree{res.Tree, res.Rest}
			p.report.InstallWrites = ended
			p.report.Requests, p.report.Downloaded = requests, downloaded
			for _, w := range p.log[:ended] {
				p.report.InstallWritten += w.written()
			}
		case res.Tree != p.new.whole:
			p.report.Console = console.String()
			p.report.Problem = "main.py started in a tree that is neither release, and nothing was cut"
			return nil
		}
		if res.Raised != "" && res.Tree == p.new.whole {
			raised = res.Raised
		}
		if p.new.whole == "" && !res.Ending.Reboots() {
			if waits++; waits == 3 {
				break
			}
		}
		quiet := len(p.log) == ended
		ended = len(p.log)
		if quiet && (p.new.whole != "" || !res.Ending.Reboots()) {
			break // a boot with nothing to do: the update is over
		}
	}
	p.restless[res.Tree] = res.Ending.Reboots()
	p.report.Console = console.String()
	if p.new.whole == "" {
		p.report.Requests, p.report.Downloaded = int(p.site.requests.Load()), int(p.site.bytes.Load())
	}
	p.report.Writes = len(p.log)
	for _, w := range p.log {
		p.report.Written += w.written()
		if w.Erase {
			p.report.Erases++
		}
	}
	if err := p.verdict(ctx, board, raised); err != nil || p.report.Problem != "" {
		return err
	}
	return p.roomNeeded(ctx, board)
}

// roomNeeded looks at some moments of the update how much room was left. The cuts that are played
// later may find one with less.
func (p *play) roomNeeded(ctx context.Context, board *Board) error {
	const moments = 32
	for i := range moments {
		image, err := p.replay(p.base, p.log, len(p.log)*i/moments, 0)
		if err != nil {
			return err
		}
		if err := os.WriteFile(board.Image, image, 0o666); err != nil {
			return err
		}
		res, err := p.boot(ctx, board, false)
		if err != nil {
			return err
		}
		p.least = min(p.least, res.Room)
	}
	p.report.RoomNeeded = p.room - p.least
	return nil
}

// written returns how many bytes a write adds to those written.
func (w Write) written() int {
	if w.Erase {
		return 0
	}
	return w.Length
}

// verdict says what is wrong with the update that was played without a cut. raised is the start
// file of the new release that ended with an exception, if one did.
func (p *play) verdict(ctx context.Context, board *Board, raised string) error {
	board.Log = ""
	res, err := p.boot(ctx, board, false)
	if err != nil {
		return err
	}
	problem := &p.report.Problem
	switch {
	case p.new.whole == "" && strings.Contains(p.report.Console, "OTA: installed"):
		*problem = "the new release does not start: main.py never ran, and the board went back to the old one"
	case p.new.whole == "" && p.report.Requests == 0:
		*problem = NeverLooked + ": does boot.py or main.py call check_and_perform_ota()?"
	case p.new.whole == "" && !p.site.polled.Load():
		*problem = "the old release asked the server, but not for " + manifestName
	case p.new.whole == "":
		*problem = "the board did not install the new release" + lastError(p.report.Console)
	case res.Tree == p.old.whole && raised != "":
		*problem = raised + " of the new release ended with an exception, and the board went back to the old one"
	case res.Tree == p.old.whole:
		*problem = "the new release started but did not confirm, and the board went back to the old one"
	case res.Tree != p.new.whole:
		*problem = "the board does not come to rest: the new release is not confirmed"
	}
	if *problem != "" {
		return nil
	}
	on, err := board.Dump(ctx)
	if err != nil {
		return err
	}
	for _, f := range p.next.Files {
		if got := on.Files[f.Path]; got.SHA256 != f.SHA256 {
			*problem = "the new release started, but on the board " + f.Path + " is not the release's"
		}
	}
	return nil
}

// lastError returns the last error that the updater printed, after a colon.
func lastError(console string) string {
	if i := strings.LastIndex(console, "OTA error "); i >= 0 {
		line, _, _ := strings.Cut(console[i:], "\n")
		return ": " + line
	}
	return ""
}
