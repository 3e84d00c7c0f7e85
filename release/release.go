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

	// ErrThreshold: fewer signatures by known keys than it takes.
	ErrThreshold = errors.New("too few signatures")

	// ErrSequence: a keyset that is not the next one.
	ErrSequence = errors.New("not the next keyset")

	// Of a genuine release that is not for this board, or not any more.
	ErrApp         = errors.New("for another application")
	ErrChannel     = errors.New("for other channels")
	ErrBoard       = errors.New("for other boards")
	ErrMPY         = errors.New("for another .mpy format")
	ErrMicroPython = errors.New("for a newer MicroPython")
	ErrExpired     = errors.New("expired")

	// ErrRollback: a genuine release that is older than one seen before, or has
	// its number and other content.
	ErrRollback = errors.New("older than what is installed")
)
