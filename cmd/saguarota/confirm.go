package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// confirm asks a question, and reports whether the answer is yes: no other is, nor none.
func confirm(ctx context.Context, cmd *cobra.Command, question string) bool {
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", question)
	// Ctrl-C has to end this, too.
	line := make(chan string, 1)
	go func() {
		text, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if err != nil {
			text = "" // half an answer is none
		}
		line <- text
	}()
	var answer string
	select {
	case <-ctx.Done():
	case answer = <-line:
	}
	if answer == "" {
		fmt.Fprintln(cmd.ErrOrStderr())
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
