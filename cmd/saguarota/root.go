package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// What the user sees follows these rules. Results go to standard output, all
// else to standard error. An error is one line, "saguarota: what failed: why";
// where there is something to type next, a line "hint: …" follows. Usage is
// not printed: it would push the error off the screen.

const rootLong = `Over-the-air updates for MicroPython boards: the host's half.

"saguarota serve" offers the files of a folder to boards while you develop.
"saguarota build" makes a release of them, for any web server, signed with a key
from "saguarota keygen"; "sign", "keys", "verify" and "inspect" work on that.
"saguarota manifest" writes versions.json alone, for releases without signature;
"saguarota rehearse" plays an update on a simulated board, before you publish it.`

// run executes the command line args and returns the exit status: 0, or 1 after
// an error, or what a command says in an exitStatus.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := rootCommand()
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	called, err := cmd.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "saguarota: %v\n", err)
	var h *hinted
	switch {
	case errors.As(err, &h):
		fmt.Fprintf(stderr, "hint: %s\n", h.hint)
	case isUsageError(err):
		fmt.Fprintf(stderr, "hint: type \"%s --help\"\n", called.CommandPath())
	}
	var status *exitStatus
	if errors.As(err, &status) {
		return status.status
	}
	return 1
}

func rootCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "saguarota",
		Short:         "Over-the-air updates for MicroPython boards",
		Long:          rootLong,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return trustRoot(os.Getenv("SAGUAROTA_CA"))
		},
	}
	cmd.AddCommand(keygenCommand(), buildCommand(), signCommand(), keysCommand(), verifyCommand(), inspectCommand(), packCommand())
	cmd.AddCommand(manifestCommand(), serveCommand(), rehearseCommand())
	cmd.AddCommand(fleetCommand(), publishCommand(), rolloutCommand(), rollbackCommand())
	return cmd
}

// hinted is an error for which there is something to do.
type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// withHint adds to an error what the user can do about it. The hint is a
// sentence without a capital and full stop.
func withHint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// isUsageError reports whether err is about how the command line is written.
// Cobra has no types for these.
func isUsageError(err error) bool {
	for _, start := range []string{"unknown command", "unknown flag", "unknown shorthand", "flag needs", "invalid argument", "bad flag"} {
		if strings.HasPrefix(err.Error(), start) {
			return true
		}
	}
	return false
}
