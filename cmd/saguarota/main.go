// Command saguarota is the host's half of SaguarOTA: it writes the manifest of
// a release, and serves releases to boards while they are developed.
package main

import (
	"context"
	"os"
)

// version is set by the linker in released builds.
var version = "0.2.0"

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
