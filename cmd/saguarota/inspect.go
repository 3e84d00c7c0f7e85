package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/devserver"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

const inspectLong = `Show what a site, or one of its files, says.

Give the folder or URL of a site, or a manifest (versions.json), a statement
(versions.json.sig), a keyset (keys/N.json) or a pack (packs/…). Nothing is verified: this shows
what somebody claims. "saguarota verify" tells whether it is true.`

func inspectCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect SITE|URL|FILE",
		Short: "Show what a site or one of its files says",
		Long:  inspectLong,
		Example: `  saguarota inspect site
  saguarota inspect site/versions.json.sig --json`,
		Args: oneArgument("site or file", "saguarota inspect SITE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := look(cmd.Context(), args[0])
			if err != nil {
				return err
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
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, for programs")
	return cmd
}

// inspected is what can be shown, and the form of it in JSON.
type inspected struct {
	Statement *inspectedStatement `json:"statement,omitempty"`
	Keysets   []inspectedKeyset   `json:"keysets,omitempty"`
	Manifest  *inspectedManifest  `json:"manifest,omitempty"`
	Packs     []inspectSitePack   `json:"packs,omitempty"`
	Pack      *inspectedPack      `json:"pack,omitempty"`

	statement *release.Statement
	links     []release.Link
}

type inspectedStatement struct {
	App         string     `json:"app"`
	Version     int64      `json:"version"`
	Name        string     `json:"name,omitempty"`
	Manifest    inspectPin `json:"manifest"`
	Keyset      int64      `json:"keyset"`
	Channels    []string   `json:"channels,omitempty"`
	Boards      []string   `json:"boards,omitempty"`
	MPY         string     `json:"mpy,omitempty"`
	MicroPython string     `json:"micropython,omitempty"`
	Time        int64      `json:"time,omitempty"`
	Expires     int64      `json:"expires,omitempty"`
	Signers     []string   `json:"signers"` // key ids
	Message     string     `json:"message"` // what they sign, in hex
}

type inspectPin struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

type inspectedKeyset struct {
	App       string       `json:"app"`
	Version   int64        `json:"version"`
	Threshold int          `json:"threshold"`
	Keys      []inspectKey `json:"keys"`
	Signers   []string     `json:"signers"`
	Message   string       `json:"message"`
}

type inspectKey struct {
	ID     string `json:"id"`
	Public string `json:"public"`
}

type inspectedManifest struct {
	App     string        `json:"app,omitempty"`
	Version int64         `json:"version"`
	SHA256  string        `json:"sha256"` // of the manifest itself
	Size    int64         `json:"size"`
	HMAC    bool          `json:"hmac"` // signed with a shared secret
	Bytes   int64         `json:"bytes"`
	Files   []inspectFile `json:"files"`
}

type inspectFile struct {
	Path    string `json:"path"`
	Version int64  `json:"version"`
	Size    *int64 `json:"size,omitempty"`
	MD5     string `json:"md5,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
}

type inspectSitePack struct {
	Path  string `json:"path"`
	From  string `json:"from,omitempty"` // IDs of releases
	To    string `json:"to"`
	Bytes int64  `json:"bytes"`
}

// look reads what there is at a place.
func look(ctx context.Context, where string) (*inspected, error) {
	info, err := os.Stat(where)
	if err == nil && !info.IsDir() {
		return lookAtFile(ctx, where)
	}
	if err != nil && !strings.Contains(where, "://") {
		return nil, withHint(err, "give a site, or one of its files")
	}
	src, err := release.OpenSource(where)
	if err != nil {
		return nil, err
	}
	found := new(inspected)
	m, encoded, err := release.SiteManifest(ctx, src, "")
	switch {
	case err == nil:
		found.addManifest(m, encoded)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	s, doc, err := release.SiteStatement(ctx, src)
	switch {
	case err == nil:
		found.addStatement(s, doc)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	chain, err := release.ReadChain(ctx, src)
	if err != nil {
		return nil, err
	}
	for _, link := range chain {
		found.addKeyset(link)
	}
	if found.Manifest != nil {
		packs, err := release.SitePacks(ctx, src)
		if err != nil {
			return nil, err
		}
		for _, p := range packs {
			found.Packs = append(found.Packs, inspectSitePack(p))
		}
	}
	if found.Manifest == nil && found.Statement == nil && found.Keysets == nil {
		return nil, withHint(fmt.Errorf("%s: %w: it has no %s", where, release.ErrNotSite, release.ManifestName), "give a site, or one of its files")
	}
	return found, nil
}

func lookAtFile(ctx context.Context, name string) (*inspected, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, manifest.MaxBytes+1))
	if err != nil {
		return nil, err
	}
	found := new(inspected)
	if bytes.HasPrefix(data, []byte("otapack")) {
		found.Pack, err = showPack(ctx, name, data, "")
		return found, explainPack(err)
	}
	switch first, _, _ := bytes.Cut(data, []byte(" ")); string(first) {
	case "saguarota-release":
		s, doc, err := release.ReadStatement(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		found.addStatement(s, doc)
	case "saguarota-keyset":
		k, doc, err := release.ReadKeyset(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		found.addKeyset(release.Link{Keyset: k, Document: doc})
	default:
		if bytes.Contains(data[:min(len(data), 200)], []byte("PRIVATE KEY")) {
			return nil, fmt.Errorf("%s is a private key, which is shown to nobody", name)
		}
		if key, err := release.ParsePublicKey(string(data)); err == nil {
			return nil, withHint(fmt.Errorf("%s is the public key %s", name, key.ID()), "\"saguarota keys list SITE\" shows the keys of a site")
		}
		m, err := manifest.Read(bytes.NewReader(data))
		if err != nil {
			return nil, withHint(fmt.Errorf("%s: neither a statement nor a keyset, and as a manifest %w", name, err), "give a site, or one of versions.json, versions.json.sig, keys/N.json and packs")
		}
		found.addManifest(m, data)
	}
	return found, nil
}

func signers(doc *release.Document) []string {
	ids := []string{}
	for _, s := range doc.Signatures() {
		ids = append(ids, string(s.Key))
	}
	return ids
}

func (i *inspected) addStatement(s *release.Statement, doc *release.Document) {
	i.statement = s
	i.Statement = &inspectedStatement{
		App: s.App, Version: s.Version, Name: s.Name,
		Manifest: inspectPin{hex.EncodeToString(s.Manifest.SHA256[:]), s.Manifest.Size}, Keyset: s.Keyset,
		Channels: s.Channels, Boards: s.Boards, MPY: s.MPY, MicroPython: s.MicroPython, Time: s.Time, Expires: s.Expires,
		Signers: signers(doc), Message: hex.EncodeToString(doc.Message()),
	}
}

func (i *inspected) addKeyset(link release.Link) {
	k := link.Keyset
	shown := inspectedKeyset{App: k.App, Version: k.Version, Threshold: k.Threshold,
		Signers: signers(link.Document), Message: hex.EncodeToString(link.Document.Message())}
	for _, key := range k.Keys {
		shown.Keys = append(shown.Keys, inspectKey{string(key.ID()), key.String()})
	}
	i.Keysets = append(i.Keysets, shown)
	i.links = append(i.links, link)
}

func (i *inspected) addManifest(m *manifest.Manifest, encoded []byte) {
	pin := release.PinOf(encoded)
	shown := &inspectedManifest{App: m.App, Version: m.Version, SHA256: hex.EncodeToString(pin.SHA256[:]), Size: pin.Size,
		HMAC: m.Signature != "", Files: []inspectFile{}}
	for _, f := range m.Files {
		file := inspectFile{Path: f.Path, Version: f.Version, MD5: f.MD5, SHA256: f.SHA256}
		if f.Size >= 0 {
			file.Size = &f.Size
			shown.Bytes += f.Size
		}
		shown.Files = append(shown.Files, file)
	}
	i.Manifest = shown
}

// write shows it to people.
func (i *inspected) write(w *bytes.Buffer) {
	var b strings.Builder
	if s := i.Statement; s != nil {
		fmt.Fprintf(&b, "statement: %s, version %d\n", describe(i.statement), s.Version)
		fmt.Fprintf(&b, "  manifest of %d bytes, SHA-256 %s\n", s.Manifest.Size, s.Manifest.SHA256)
		if m := i.Manifest; m != nil && (m.SHA256 != s.Manifest.SHA256 || m.Size != s.Manifest.Size) {
			b.WriteString("  which is not the manifest that lies beside it\n")
		}
		writeAudience(&b, i.statement, "  ")
		if len(s.Signers) == 0 {
			fmt.Fprintf(&b, "  not signed; to be signed for keyset %d\n", s.Keyset)
		} else {
			fmt.Fprintf(&b, "  signed for keyset %d by %s\n", s.Keyset, strings.Join(s.Signers, " and "))
		}
	}
	for _, link := range i.links {
		writeKeyset(&b, link)
	}
	if m := i.Manifest; m != nil {
		fmt.Fprintf(&b, "manifest: %s, version %d, %s, %s\n", plural(len(m.Files), "file"), m.Version, devserver.FormatBytes(m.Bytes), hmacNote(m.HMAC))
		for _, f := range m.Files {
			size := "?"
			if f.Size != nil {
				size = fmt.Sprint(*f.Size)
			}
			fmt.Fprintf(&b, "  %10s  %10d  %s\n", size, f.Version, f.Path)
		}
	}
	for _, p := range i.Packs {
		fmt.Fprintf(&b, "%s: %d bytes\n", p.Path, p.Bytes)
	}
	w.WriteString(b.String())
	if i.Pack != nil {
		i.Pack.write(w)
	}
}

func hmacNote(signed bool) string {
	if signed {
		return "with an HMAC"
	}
	return "without an HMAC"
}
