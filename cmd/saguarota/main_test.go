package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"saguarota": main, "http": httpMain, "signer": signerMain})
}

// TestScript runs the scenarios in testdata/script, each in a folder of its
// own, with the real program as the command saguarota.
//
// Beyond testscript's own commands there are
//
//	mtime SECONDS PATH...   set modification times; of a folder, of all files in it
//	mode PATH OCTAL         check a file's permissions
//
// and what serve_test.go describes for the server, fleet_test.go for the fleet's, sign_test.go
// for signing.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			if err := runsToItsEnd(strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")); err != nil {
				return err
			}
			env.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			tools, err := filepath.Abs(filepath.Join("..", "..", ".tools"))
			if err != nil {
				return err
			}
			if dir := os.Getenv("SAGUAROTA_TOOLS"); dir != "" {
				tools = dir
			}
			env.Setenv("SAGUAROTA_TOOLS", tools)
			// Not the project's own repository.
			env.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(env.WorkDir))
			for _, who := range []string{"AUTHOR", "COMMITTER"} {
				env.Setenv("GIT_"+who+"_NAME", "Ada")
				env.Setenv("GIT_"+who+"_EMAIL", "ada@example.org")
			}
			env.Values[backgroundKey{}] = new(background)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"mtime": scriptMTime,
			"mode":  scriptMode,
			"serve": scriptServe,
			"fleet": scriptFleet,
			"crash": scriptCrash,
			"end":   scriptEnd,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// runsToItsEnd reports whether no line of a script is testscript's own command "stop",
// behind which nothing is run and all is well.
func runsToItsEnd(name string) error {
	data, err := os.ReadFile(filepath.Join("testdata", "script", name+".txtar"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		if line == "stop\n" || strings.HasPrefix(line, "stop ") {
			return fmt.Errorf("%s: %q would end it there; \"end\" ends the server", name, line)
		}
	}
	return nil
}

func scriptMTime(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mtime SECONDS PATH...")
	}
	seconds, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	at := time.Unix(seconds, 0)
	for _, root := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			return os.Chtimes(path, at, at)
		}))
	}
}

func scriptMode(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: mode PATH OCTAL")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); (got == args[1]) == neg {
		ts.Fatalf("%s has mode %s", args[0], got)
	}
}
