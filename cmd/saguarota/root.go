package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func run() int {
	cmd := rootCommand()
	if err := cmd.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "saguarota:", err)
		return 1
	}
	return 0
}

func rootCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "saguarota",
		Short:         "Over-the-air updates for MicroPython boards",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	return cmd
}
