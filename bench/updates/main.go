// Command updates compares an update by this library with one by a plain updater, which fetches every
// changed file whole over a connection of its own. Both run on a simulated board, real MicroPython on
// littlefs, behind a link of 50 kB/s with 80 ms round trips. It prints a table, or JSON with -json.
//
// What is counted: the bytes of both directions as the link carries them, without those of TCP and IP;
// requests and connections; seconds from power-up until the new release is in place, the plain updater's
// until its last file is; bytes written to flash; and the smallest heap, in kB, in which the update
// works, with the simulation in it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"text/tabwriter"
)

func main() {
	asJSON := flag.Bool("json", false, "print JSON")
	heap := flag.Bool("heap", true, "find the smallest heap, too, by some twenty updates more")
	flag.Parse()
	results, err := run(context.Background(), *heap)
	if err != nil {
		fmt.Fprintln(os.Stderr, "updates:", err)
		os.Exit(1)
	}
	if *asJSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		if err := out.Encode(results); err != nil {
			fmt.Fprintln(os.Stderr, "updates:", err)
			os.Exit(1)
		}
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "release\tupdater\tbytes\trequests\tconnections\tseconds\tflash\theap kB")
	for _, r := range results {
		for _, one := range []struct {
			name string
			Cost
		}{{"plain", r.Plain}, {"saguarota", r.Saguarota}} {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%.1f\t%d\t%d\n", r.Release, one.name, one.Bytes, one.Requests, one.Connections, one.Seconds, one.Flash, one.Heap)
		}
		fmt.Fprintf(w, "\tplain : saguarota\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", ratio(r.Plain.Bytes, r.Saguarota.Bytes),
			ratio(r.Plain.Requests, r.Saguarota.Requests), ratio(r.Plain.Connections, r.Saguarota.Connections),
			r.Plain.Seconds/r.Saguarota.Seconds, ratio(r.Plain.Flash, r.Saguarota.Flash))
	}
	w.Flush()
}

func ratio(a, b int64) float64 { return float64(a) / float64(b) }
