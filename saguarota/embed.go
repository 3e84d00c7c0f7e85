// Package saguarota carries the board's half of SaguarOTA, which runs on MicroPython, so that
// host tools can put it on boards.
package saguarota

import "embed"

// Library has the modules of the board's package, at its root.
//
//go:embed *.py
var Library embed.FS
