package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Kind says what a document is: the two are signed under different domains,
// so that a signature of one kind is none of the other.
type Kind int

const (
	KindStatement Kind = iota + 1 // the file versions.json.sig
	KindKeyset                    // a file in keys/
)

// Limits that readers enforce, and writers keep.
const (
	MaxStatementBytes      = 4096 // with all its signatures
	MaxStatementSignatures = 16
	MaxKeysetBytes         = 8192
	MaxKeysetSignatures    = 32 // 16 keys of the keyset before, 16 of its own
)

// String returns the kind as people call it.
func (k Kind) String() string {
	if k == KindKeyset {
		return "keyset"
	}
	return "statement"
}

func (k Kind) header() string {
	if k == KindKeyset {
		return "saguarota-keyset 1\n"
	}
	return "saguarota-release 1\n"
}

func (k Kind) domain() string {
	if k == KindKeyset {
		return "saguarota-keyset-1\n"
	}
	return "saguarota-release-1\n"
}

func (k Kind) limits() (size, signatures int) {
	if k == KindKeyset {
		return MaxKeysetBytes, MaxKeysetSignatures
	}
	return MaxStatementBytes, MaxStatementSignatures
}

// A Signature is one line of a document. Nothing says yet whether it is valid.
type Signature struct {
	Key   KeyID
	Bytes [64]byte
}

// A Document is a signed text: one JSON object and any number of signatures.
// The object's text is kept as it was read, since that is what is signed.
type Document struct {
	kind       Kind
	object     []byte // the second line, without its newline
	signatures []Signature
}

// ReadDocument reads the file of a statement or keyset, but not what its object
// says: that is for ParseStatement and ParseKeyset. It verifies nothing. All
// errors are ErrFormat.
func ReadDocument(kind Kind, data []byte) (*Document, error) {
	size, signatures := kind.limits()
	if len(data) > size {
		return nil, fmt.Errorf("%w: a %s has at most %d bytes, this has %d", ErrFormat, kind, size, len(data))
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrFormat)
	}
	rest, ok := bytes.CutPrefix(data, []byte(kind.header()))
	if !ok {
		return nil, fmt.Errorf("%w: the first line of a %s is %q", ErrFormat, kind, strings.TrimSuffix(kind.header(), "\n"))
	}
	object, rest, ok := bytes.Cut(rest, []byte("\n"))
	if !ok {
		return nil, fmt.Errorf("%w: line 2 does not end; was it cut off?", ErrFormat)
	}
	if len(object) < 2 || object[0] != '{' || object[len(object)-1] != '}' {
		return nil, fmt.Errorf("%w: line 2 is not one JSON object", ErrFormat)
	}
	d := &Document{kind: kind, object: slices.Clone(object)}
	for number := 3; len(rest) > 0; number++ {
		var line []byte
		line, rest, ok = bytes.Cut(rest, []byte("\n"))
		if !ok {
			return nil, fmt.Errorf("%w: line %d does not end; was it cut off?", ErrFormat, number)
		}
		s, err := parseSignature(string(line))
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrFormat, number, err)
		}
		if n := len(d.signatures); n > 0 && d.signatures[n-1].Key >= s.Key {
			return nil, fmt.Errorf("%w: line %d: signatures are not in ascending order of key ids, each once", ErrFormat, number)
		}
		if len(d.signatures) == signatures {
			return nil, fmt.Errorf("%w: a %s has at most %d signatures", ErrFormat, kind, signatures)
		}
		d.signatures = append(d.signatures, s)
	}
	return d, nil
}

func parseSignature(line string) (Signature, error) {
	id, encoded, ok := strings.Cut(line, " ")
	if !ok || !isHex(id, keyIDDigits) {
		return Signature{}, fmt.Errorf("a signature is %d hex digits, a space, and Base64", keyIDDigits)
	}
	s := Signature{Key: KeyID(id)}
	if !decodeBase64(s.Bytes[:], encoded) {
		return Signature{}, fmt.Errorf("the signature by %s is not the Base64 of %d bytes", id, len(s.Bytes))
	}
	return s, nil
}

// Kind returns what the document is.
func (d *Document) Kind() Kind { return d.kind }

// Object returns the text of the JSON object.
func (d *Document) Object() []byte { return slices.Clone(d.object) }

// Signatures returns the signatures, in ascending order of key ids.
func (d *Document) Signatures() []Signature { return slices.Clone(d.signatures) }

// Bytes returns the document as a file.
func (d *Document) Bytes() []byte {
	var b bytes.Buffer
	b.WriteString(d.kind.header())
	b.Write(d.object)
	b.WriteByte('\n')
	for _, s := range d.signatures {
		fmt.Fprintf(&b, "%s %s\n", s.Key, base64.StdEncoding.EncodeToString(s.Bytes[:]))
	}
	return b.Bytes()
}

// Message returns what a signer signs: the domain and the hash of the text.
func (d *Document) Message() []byte {
	h := sha256.New()
	h.Write([]byte(d.kind.header()))
	h.Write(d.object)
	h.Write([]byte("\n"))
	return h.Sum([]byte(d.kind.domain()))
}

// Sign adds a signature, in place of one that the same key made before. It
// verifies what the signer returned, so that a signer with another key than it
// says is found out here and not by the boards (ErrSigner).
func (d *Document) Sign(ctx context.Context, signer Signer) error {
	key := signer.PublicKey()
	message := d.Message()
	raw, err := signer.Sign(ctx, message)
	if err != nil {
		return fmt.Errorf("sign the %s with %s: %w", d.kind, key.ID(), err)
	}
	if !verifyStrict(key[:], message, raw) {
		return fmt.Errorf("sign the %s: %w %s", d.kind, ErrSigner, key.ID())
	}
	s := Signature{Key: key.ID(), Bytes: [64]byte(raw)}
	at, found := slices.BinarySearchFunc(d.signatures, s.Key, func(s Signature, id KeyID) int {
		return strings.Compare(string(s.Key), string(id))
	})
	size, signatures := d.kind.limits()
	switch {
	case found:
		d.signatures[at] = s
		return nil
	case len(d.signatures) == signatures:
		return fmt.Errorf("sign the %s: %w: it has %d signatures, which is the most", d.kind, ErrFormat, signatures)
	}
	d.signatures = slices.Insert(d.signatures, at, s)
	if n := len(d.Bytes()); n > size {
		d.signatures = slices.Delete(d.signatures, at, at+1)
		return fmt.Errorf("sign the %s: %w: it would have %d bytes, more than %d", d.kind, ErrFormat, n, size)
	}
	return nil
}

// verify returns the ids of those of the keys that signed the document. A
// signature by one of them that is not valid is an error (ErrSignature), though
// others may be enough: honest documents have none.
func (d *Document) verify(keys []PublicKey) ([]KeyID, error) {
	byID := make(map[KeyID]PublicKey, len(keys))
	for _, k := range keys {
		byID[k.ID()] = k
	}
	message := d.Message()
	var signers []KeyID
	for _, s := range d.signatures {
		key, ok := byID[s.Key]
		if !ok {
			continue
		}
		if !verifyStrict(key[:], message, s.Bytes[:]) {
			return nil, fmt.Errorf("%w: that by the key %s", ErrSignature, s.Key)
		}
		signers = append(signers, s.Key)
	}
	return signers, nil
}
