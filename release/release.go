// Package release signs releases, and checks them as boards do.
//
// A site is a folder of static files, on any web server: the files of a release,
// the manifest (versions.json) that pins each of them by its SHA-256, and a
// statement (versions.json.sig) that pins the manifest and that the publisher
// signed with Ed25519. Boards hold public keys and the server holds no key, so
// that neither a server nor a board that falls into wrong hands can sign.
//
// Which keys count is a [Keyset]. The first is built into boards; each later one
// (keys/<n>.json) is signed by the one before and by itself, and boards follow the
// chain a step at a time. So keys can be added, replaced and withdrawn while the
// boards are in the field, and with a threshold above one no single key is enough.
//
// The formats, and what a board checks in which order, are in docs/PROTOCOL.md.
//
// [BuildSite] makes a site of a folder, [SignSite] adds signatures, [VerifySite]
// checks a site as a board does. [NewChain], [ExtendChain] and [SignChain] write
// keysets. [ReadStatement], [ReadKeyset] and [Board] are for programs that do
// these things in their own way. Private keys are [Signer]s: a [PrivateKey] in
// memory, a [CommandSigner] that asks another program, or your own.
package release

import "errors"

// Errors to test for with errors.Is. What the functions of this package return
// wraps them with what is to blame.
var (
	// ErrFormat: not a statement or keyset, or one with values that make no sense.
	ErrFormat = errors.New("not valid")

	// ErrKey: not a key, or one whose signatures are worth nothing.
	ErrKey = errors.New("not a usable key")

	// ErrEncrypted: a private key behind a password.
	ErrEncrypted = errors.New("the key is encrypted")

	// ErrSignature: a signature by a known key does not fit what it stands under.
	ErrSignature = errors.New("a signature is not valid")

	// ErrSigner: a Signer returned something else than its signature.
	ErrSigner = errors.New("what the signer returned is not a signature by")

	// ErrThreshold: fewer signatures by known keys than it takes.
	ErrThreshold = errors.New("too few signatures")

	// ErrReserved: a path that a file of a release cannot have.
	ErrReserved = errors.New("reserved path")

	// ErrNoFiles: a release without any, which boards refuse.
	ErrNoFiles = errors.New("there are no files in it")

	// ErrChanged: a file is not what it was a moment ago, when it was hashed.
	ErrChanged = errors.New("the file changed meanwhile")

	// ErrContent: a file or manifest does not have the hash or size that it is
	// pinned to, or a manifest contradicts its statement.
	ErrContent = errors.New("not what was signed")

	// ErrNotSite: a folder that holds other things than a site.
	ErrNotSite = errors.New("not a site")

	// ErrPlace: a site in the folder of its sources, or around it.
	ErrPlace = errors.New("site and sources must lie beside each other")

	// ErrNoMember: a signer whose signature would not count.
	ErrNoMember = errors.New("a key without a say")

	// ErrNoKeysets: a site whose keys were never written down.
	ErrNoKeysets = errors.New("no keysets")

	// ErrRoot: a keyset that has the number of the one that boards have built in,
	// and is another.
	ErrRoot = errors.New("not the keyset that boards have built in")

	// ErrSequence: a keyset that is not the next one.
	ErrSequence = errors.New("not the next keyset")

	// Of a genuine release that is not for this board, or not any more.
	ErrApp         = errors.New("for another application")
	ErrChannel     = errors.New("for other channels")
	ErrBoard       = errors.New("for other boards")
	ErrMPY         = errors.New("for another .mpy format")
	ErrMicroPython = errors.New("for a newer MicroPython")
	ErrExpired     = errors.New("expired")

	// ErrAnswer: a server that does not give what a site has.
	ErrAnswer = errors.New("the server answers")

	// ErrRollback: a genuine release that is older than one seen before, or has
	// its number and other content.
	ErrRollback = errors.New("older than what is installed")
)
