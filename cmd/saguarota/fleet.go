package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const fleetLong = `Run a server that decides for each board which release it gets, and when.

"saguarota fleet serve --data DIR" is all that it takes to start. "fleet app add"
registers an application and the public keys of its boards; "saguarota publish"
uploads what "saguarota build" made, and "saguarota rollout" brings it to the
boards step by step. docs/FLEET.md explains how boards are decided for.`

func fleetCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "fleet", Short: "Run a server for boards in the field", Long: fleetLong}
	cmd.AddCommand(fleetServeCommand(), fleetCheckCommand(), fleetBackupCommand(), fleetCACommand(), fleetSimulateCommand())
	cmd.AddCommand(fleetAppCommand(), fleetReleaseCommand(), fleetChannelCommand(), fleetDeviceCommand(), fleetTokenCommand(), fleetWebhookCommand(), fleetAuditCommand())
	return cmd
}

// settingPrefix begins the names of environment variables that are options of the
// fleet server: --data is SAGUAROTA_FLEET_DATA.
const settingPrefix = "SAGUAROTA_FLEET_"

// readSettings gives those options that are not on the command line the values that
// they have in the environment, or else in the file of the option "config".
func readSettings(flags *pflag.FlagSet) error {
	file, err := readConfig(flags)
	if err != nil {
		return err
	}
	var problems []error
	known := map[string]bool{}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		name := settingPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		known[name] = true
		if f.Changed || f.Name == "config" {
			return
		}
		value, where := os.Getenv(name), name
		if value == "" {
			value, where = file[f.Name], "the configuration file"
		}
		delete(file, f.Name)
		if value == "" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			problems = append(problems, fmt.Errorf("%s: %s=%q: %w", where, f.Name, value, err))
		}
	})
	for name := range file {
		if f := flags.Lookup(name); f == nil || name == "config" || name == "help" {
			problems = append(problems, fmt.Errorf("the configuration file: there is no option %q", name))
		}
	}
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, settingPrefix) && !known[name] {
			problems = append(problems, withHint(fmt.Errorf("the variable %s: there is no such option", name), "the names are those of the options, such as %sDATA for --data", settingPrefix))
		}
	}
	return errors.Join(problems...)
}

// readConfig reads a file of lines "name = value". Empty lines and those that begin
// with # say nothing.
func readConfig(flags *pflag.FlagSet) (map[string]string, error) {
	name, err := flags.GetString("config")
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = os.Getenv(settingPrefix + "CONFIG")
	}
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = withHint(err, "give the file with --config, or leave it out")
		}
		return nil, err
	}
	defer f.Close()
	values := map[string]string{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			return nil, withHint(fmt.Errorf("%s:%d: %q is no line \"name = value\"", name, n, line), "the names are those of the options, such as: data = /var/lib/saguarota")
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("%s:%d: %s is given twice", name, n, key)
		}
		values[key] = strings.TrimSpace(value)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return values, nil
}
