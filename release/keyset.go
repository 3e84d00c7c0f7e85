package release

import (
	"encoding/base64"
	"fmt"
	"math"
)

// A Keyset says whose signatures count, and how many it takes.
type Keyset struct {
	App       string
	Version   int64       // 1 is what boards are born with; the next is signed by the one before
	Threshold int         // signatures that it takes, at least 1
	Keys      []PublicKey // 1 to MaxListed
}

// ReadKeyset is ReadDocument and ParseKeyset.
func ReadKeyset(data []byte) (*Keyset, *Document, error) {
	d, err := ReadDocument(KindKeyset, data)
	if err != nil {
		return nil, nil, err
	}
	k, err := ParseKeyset(d)
	if err != nil {
		return nil, nil, err
	}
	return k, d, nil
}

// ParseKeyset reads what a document says. It verifies no signature. Errors are
// ErrFormat, and also ErrKey where a key is none.
func ParseKeyset(d *Document) (*Keyset, error) {
	if d.kind != KindKeyset {
		return nil, fmt.Errorf("%w: a %s, not a keyset", ErrFormat, d.kind)
	}
	k := new(Keyset)
	r := &reader{string(d.object)}
	err := r.object([]field{
		{"app", true, func(key string) (err error) { k.App, err = r.text(key); return err }},
		{"version", true, func(key string) (err error) { k.Version, err = r.number(key, 1); return err }},
		{"threshold", true, func(key string) error {
			n, err := r.number(key, 1)
			k.Threshold = int(min(n, math.MaxInt32))
			return err
		}},
		{"keys", true, func(key string) error {
			list, err := r.list(key)
			for _, text := range list {
				var pub PublicKey
				if !decodeBase64(pub[:], text) {
					return fmt.Errorf("%w: %q is not the Base64 of a public key", ErrFormat, text)
				}
				k.Keys = append(k.Keys, pub)
			}
			return err
		}},
	})
	if err != nil {
		return nil, err
	}
	if err := k.Check(); err != nil {
		return nil, err
	}
	return k, nil
}

// Check reports whether k can be a keyset. Errors are ErrFormat, and also ErrKey
// where a key is none.
func (k *Keyset) Check() error {
	if err := checkText("app", k.App); err != nil {
		return err
	}
	if k.Version < 1 {
		return fmt.Errorf("%w: keysets are numbered from 1", ErrFormat)
	}
	return k.CheckKeys()
}

// CheckKeys is the part of Check that looks at Keys and Threshold, which is what
// boards have built in.
func (k *Keyset) CheckKeys() error {
	switch {
	case len(k.Keys) == 0:
		return fmt.Errorf("%w: a keyset without keys", ErrFormat)
	case len(k.Keys) > MaxListed:
		return fmt.Errorf("%w: %d keys, more than %d", ErrFormat, len(k.Keys), MaxListed)
	case k.Threshold < 1 || k.Threshold > len(k.Keys):
		return fmt.Errorf("%w: the threshold is %d, and the number of keys %d", ErrFormat, k.Threshold, len(k.Keys))
	}
	seen := map[KeyID]bool{}
	for _, key := range k.Keys {
		if err := key.Check(); err != nil {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
		if seen[key.ID()] {
			return fmt.Errorf("%w: the key %s is listed twice", ErrFormat, key.ID())
		}
		seen[key.ID()] = true
	}
	return nil
}

// Document returns the keyset as a document without signatures. The error is
// that of Check.
func (k *Keyset) Document() (*Document, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	var e encoder
	e.WriteByte('{')
	e.text("app", k.App)
	e.number("version", k.Version)
	e.number("threshold", int64(k.Threshold))
	var keys []string
	for _, key := range k.Keys {
		keys = append(keys, base64.StdEncoding.EncodeToString(key[:]))
	}
	e.list("keys", keys)
	e.WriteByte('}')
	return &Document{kind: KindKeyset, object: e.Bytes()}, nil
}

// Has reports whether the key with the id is one of the keyset's.
func (k *Keyset) Has(id KeyID) bool {
	for _, key := range k.Keys {
		if key.ID() == id {
			return true
		}
	}
	return false
}

// Verify reports whether as many of the keyset's keys as its threshold says
// signed the document, and returns the ids of all that did. Signatures of other
// keys do not matter; one of its keys that is not valid is ErrSignature, too
// few valid ones are ErrThreshold.
func (k *Keyset) Verify(d *Document) ([]KeyID, error) {
	signers, err := d.verify(k.Keys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.kind, err)
	}
	if len(signers) < max(1, k.Threshold) {
		return signers, fmt.Errorf("%s: %w by keys of keyset %d: %d, and it takes %d", d.kind, ErrThreshold, k.Version, len(signers), k.Threshold)
	}
	return signers, nil
}

// Next follows the chain one step: it verifies that d is the keyset after k,
// signed by k's threshold and by its own, and returns it. Errors are those of
// ParseKeyset and Verify, ErrSequence where d is another step's or another
// application's.
func (k *Keyset) Next(d *Document) (*Keyset, error) {
	next, err := ParseKeyset(d)
	if err != nil {
		return nil, err
	}
	switch {
	case k.Version == math.MaxInt64 || next.Version != k.Version+1:
		return nil, fmt.Errorf("%w: keyset %d does not follow keyset %d", ErrSequence, next.Version, k.Version)
	case next.App != k.App:
		return nil, fmt.Errorf("%w: keyset %d is for the application %q, not %q", ErrSequence, next.Version, next.App, k.App)
	}
	if _, err := k.Verify(d); err != nil {
		return nil, err
	}
	if _, err := next.Verify(d); err != nil {
		return nil, err
	}
	return next, nil
}
