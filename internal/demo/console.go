package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// console prints whole lines, each with the name of who said it in front.
type console struct {
	mu    sync.Mutex
	w     io.Writer
	fancy bool
	open  []*lineWriter
}

// Colours of who speaks, for a terminal.
var colours = map[string]string{"host": "36", "server": "33", "board": "32"}

func newConsole(w io.Writer) *console {
	c := &console{w: w}
	if f, ok := w.(*os.File); ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		info, err := f.Stat()
		c.fancy = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return c
}

func (c *console) heading(text string) {
	c.flush()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fancy {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	fmt.Fprintf(c.w, "\n%s\n\n", text)
}

func (c *console) host(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.print("host", fmt.Sprintf(format, args...))
}

func (c *console) print(who, line string) {
	name := fmt.Sprintf("%6s |", who)
	if c.fancy {
		name = "\x1b[" + colours[who] + "m" + name + "\x1b[0m"
	}
	fmt.Fprintln(c.w, strings.TrimRight(name+" "+line, " \r"))
}

// lines returns a writer whose lines are printed as said by who.
func (c *console) lines(who string) io.Writer {
	l := &lineWriter{c: c, who: who}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, l)
	return l
}

// flush prints lines that have no end yet.
func (c *console) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.open {
		if len(l.rest) > 0 {
			c.print(l.who, string(l.rest))
			l.rest = nil
		}
	}
}

type lineWriter struct {
	c    *console
	who  string
	rest []byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		l.c.print(l.who, string(line))
		l.rest = bytes.Clone(rest)
	}
}

// firstLine sends the first line that is written, and drops the rest.
type firstLine struct {
	found chan<- string // with room for it
	line  []byte
	sent  bool
}

func (f *firstLine) Write(p []byte) (int, error) {
	if !f.sent {
		f.line = append(f.line, p...)
		if line, _, found := bytes.Cut(f.line, []byte("\n")); found {
			f.found <- string(line)
			f.sent = true
		}
	}
	return len(p), nil
}
