// Command demo shows a board install two releases, one after the other.
//
// All of it is real but the board's hardware: the program's own server on a port of this
// machine, MicroPython, the library in saguarota/, a littlefs image for the flash, and the
// application in examples/badge. What the board holds in the end is compared with the release,
// byte for byte; anything that is not as it should be ends the demo with status 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	program := flag.String("program", "bin/saguarota", "the saguarota program to show")
	root := flag.String("root", ".", "the folder with examples/badge and the library")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *program, *root, os.Stdout); err != nil {
		if errors.Is(err, context.Canceled) {
			os.Exit(130)
		}
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}
