package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/devserver"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
)

const packInspectLong = `Show what a pack is made of: its segments, and in each the files that it makes.

A pack names files by their number in the new manifest, which it holds as a
difference from the old one. With --old, the site of the release that it leads
from, the paths are shown, and it is checked that the pack fits.`

func packInspectCommand() *cobra.Command {
	var (
		old    string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "inspect PACK",
		Short: "Show what a pack is made of",
		Long:  packInspectLong,
		Example: `  saguarota pack inspect update.pack
  saguarota pack inspect update.pack --old old-site --json`,
		Args: oneArgument("pack", "saguarota pack inspect PACK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			found, err := lookAtPack(ctx, args[0], old)
			if err != nil {
				return explainPack(err)
			}
			var b bytes.Buffer
			if asJSON {
				enc := json.NewEncoder(&b)
				enc.SetEscapeHTML(false)
				enc.SetIndent("", "  ")
				if err := enc.Encode(found); err != nil {
					return err
				}
			} else {
				found.write(&b)
			}
			_, err = cmd.OutOrStdout().Write(b.Bytes())
			return err
		},
	}
	cmd.Flags().StringVar(&old, "old", "", "folder or URL of the site of the old release")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, for programs")
	return cmd
}

// inspectedPack is what there is to show of a pack, and the form of it in JSON.
type inspectedPack struct {
	From     string             `json:"from,omitempty"` // by the name of the file
	To       string             `json:"to,omitempty"`   // by what it makes, or by the name
	Bytes    int                `json:"bytes"`
	Window   int                `json:"window"` // bytes
	Files    int                `json:"files"`
	Makes    int                `json:"makes"` // bytes, the manifest left out
	Segments []inspectedSegment `json:"segments"`

	title string
}

type inspectedSegment struct {
	Bytes   int               `json:"bytes"`
	Records []inspectedRecord `json:"records"`
}

type inspectedRecord struct {
	Index    int    `json:"index"`
	Path     string `json:"path,omitempty"`
	Base     string `json:"base"`
	BasePath string `json:"base_path,omitempty"`
	Start    int    `json:"start,omitempty"`
	Bytes    int    `json:"bytes"`
	Literal  int    `json:"literal"`
	Copied   int    `json:"copied"`
	Added    int    `json:"added"`
	Copies   int    `json:"copies"`
	Shifts   int    `json:"shifts,omitempty"` // how often the numbers of names move, in a compiled module
}

// lookAtPack reads a pack, and applies it where it can.
func lookAtPack(ctx context.Context, name, old string) (*inspectedPack, error) {
	data, err := readPack(name)
	if err != nil {
		return nil, err
	}
	return showPack(ctx, name, data, old)
}

func showPack(ctx context.Context, name string, data []byte, old string) (*inspectedPack, error) {
	contents, err := pack.Read(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	shown := &inspectedPack{Bytes: len(data), Window: 1 << contents.Window, title: packTitle(name)}
	files, err := shown.paths(ctx, data, old)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, s := range contents.Segments {
		segment := inspectedSegment{Bytes: s.Length}
		for _, r := range s.Records {
			record := inspectedRecord{
				Index: r.Index, Base: r.Base.String(), BasePath: r.BasePath, Start: r.Start, Bytes: r.Bytes,
				Literal: r.Literal, Copied: r.Copied, Added: r.Added, Copies: r.Copies, Shifts: r.Shifts,
			}
			if r.Index > 0 {
				shown.Makes += r.Bytes
				if r.Start == 0 {
					shown.Files++
				}
				if r.Index <= len(files) {
					record.Path = files[r.Index-1].Path
				}
			}
			segment.Records = append(segment.Records, record)
		}
		shown.Segments = append(shown.Segments, segment)
	}
	return shown, nil
}

// paths returns the files of the release that a pack makes, nil if that cannot be
// told because the old release is not there.
func (p *inspectedPack) paths(ctx context.Context, data []byte, old string) ([]manifest.File, error) {
	from, err := openOld(ctx, []string{old, ""})
	if old == "" {
		from, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	made, err := pack.Apply(ctx, data, from)
	if errors.Is(err, pack.ErrBase) && from == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p.To = pack.ID(made.Manifest)
	if from != nil {
		p.From = pack.ID(from.Manifest)
	}
	m, err := manifest.Read(bytes.NewReader(made.Manifest))
	if err != nil {
		return nil, err
	}
	return m.Files, nil
}

// write shows it to people.
func (p *inspectedPack) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "pack%s: %d bytes, for %s of %s\n", p.title, p.Bytes, plural(p.Files, "file"), devserver.FormatBytes(int64(p.Makes)))
	fmt.Fprintf(b, "  window of %d bytes, %s\n", p.Window, plural(len(p.Segments), "segment"))
	for i, s := range p.Segments {
		fmt.Fprintf(b, "segment %d: %d bytes\n", i, s.Bytes)
		for _, r := range s.Records {
			name := r.Path
			switch {
			case r.Index == 0:
				name = "versions.json"
			case name == "":
				name = fmt.Sprintf("file %d", r.Index)
			}
			fmt.Fprintf(b, "  %8d  %s%s\n", r.Bytes, name, r.describe())
		}
	}
}

// describe tells how a record makes its bytes.
func (r inspectedRecord) describe() string {
	var b strings.Builder
	if r.Start > 0 {
		fmt.Fprintf(&b, ", from byte %d", r.Start)
	}
	if r.Base == pack.NoBase.String() {
		return b.String() + ": all in the pack"
	}
	from := r.BasePath
	if from == "" {
		from = "itself"
	}
	fmt.Fprintf(&b, ": of %s, %d copied in %s", from, r.Copied+r.Added, plural(r.Copies, "piece"))
	if r.Added > 0 {
		fmt.Fprintf(&b, " (%d with differences)", r.Added)
	}
	fmt.Fprintf(&b, ", %d new", r.Literal)
	if r.Shifts > 0 {
		fmt.Fprintf(&b, ", names move in %s", plural(r.Shifts, "place"))
	}
	return b.String()
}
