// Command bench measures a fleet server: how many polls it answers beside an empty Go
// HTTP handler in the same run, how long they take at half that load, how much memory
// and how many bytes they cost; and, with -million, what a million registered boards
// take. It prints a table, or JSON with -json.
//
// Every server is a process of its own, the load comes from this one, and all share the
// machine. The kinds of servers take turns, second by second, and each is compared with
// the empty handler of the same turn, so that a machine that is busy with something else
// slows them alike. PostgreSQL is the one that "make services" gets, and writes to disk
// as it does by default. What the load itself takes is part of every figure; over TLS
// that is more than half.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"text/tabwriter"
	"time"

	"github.com/cactuscon/saguarota/fleet/internal/postgrestest"
)

// options are what can be chosen.
type options struct {
	boards      int
	connections int
	turns       int
	turn        time.Duration
	million     int
	json        bool
}

func main() {
	var o options
	flag.IntVar(&o.boards, "boards", 20_000, "how many boards poll")
	flag.IntVar(&o.connections, "connections", 64, "how many of them at a time")
	flag.IntVar(&o.turns, "turns", 7, "how often each kind of server has its turn")
	flag.DurationVar(&o.turn, "turn", 2*time.Second, "how long a turn is")
	flag.IntVar(&o.million, "registered", 0, "also measure a server with so many registered boards, such as 1000000 (some minutes)")
	flag.BoolVar(&o.json, "json", false, "print JSON")
	child := flag.String("child", "", "be a server of this kind; for the program's own use")
	where := flag.String("where", "", "its database")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *child != "" {
		if err := serve(ctx, *child, *where); err != nil {
			fmt.Fprintln(os.Stderr, "bench: server:", err)
			os.Exit(1)
		}
		return
	}
	if err := bench(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// results are what was measured.
type results struct {
	Polls      []pollResult    `json:"polls"`
	Lines      []lineResult    `json:"connections"`
	Registered *registerResult `json:"registered,omitempty"`
}

func bench(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "saguarota-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	pg, err := postgrestest.Start("fsync=on", "full_page_writes=on")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Stop()) }()
	var r results
	if r.Polls, r.Lines, err = benchPolls(ctx, o, dir, pg.URL("postgres")); err != nil {
		return err
	}
	if o.million > 0 {
		if r.Registered, err = benchRegistered(ctx, o, dir); err != nil {
			return err
		}
	}
	if o.json {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	return r.write(os.Stdout)
}

func (r *results) write(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "server\tpolls/s\tof empty\tat half load: p50\tp99\tbytes/poll\tmemory MB\tnew boards/s\tdatabase bytes/board")
	for _, p := range r.Polls {
		fmt.Fprintf(w, "%s\t%.0f\t%.0f %%\t%.2f ms\t%.2f ms\t%.0f\t%.0f\t%.0f\t%.0f\n", p.Server, p.Rate, 100*p.Ratio, p.P50, p.P99, p.BytesPerPoll, p.MemoryMB, p.NewPerSecond, p.BytesStored)
	}
	fmt.Fprintln(w, "\nconnection, with SQLite\tpolls/s\tbytes/poll")
	for _, l := range r.Lines {
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\n", l.Line, l.Rate, l.BytesPerPoll)
	}
	if m := r.Registered; m != nil {
		fmt.Fprintf(w, "\n%d registered boards, SQLite\n", m.Boards)
		fmt.Fprintf(w, "taken in\t%.0f a second\n", m.NewPerSecond)
		fmt.Fprintf(w, "database\t%.0f MB\n", m.DatabaseMB)
		fmt.Fprintf(w, "memory of the server, all of them having polled\t%.0f MB, at most %.0f MB\n", m.MemoryMB, m.PeakMB)
		fmt.Fprintf(w, "polls/s\t%.0f, p99 of one after the other %.2f ms\n", m.Rate, m.P99)
		for _, q := range m.Queries {
			fmt.Fprintf(w, "%s\t%.2f ms, the slowest of %d %.2f ms\n", q.Name, q.Median, q.Times, q.Slowest)
		}
	}
	return w.Flush()
}
