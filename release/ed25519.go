package release

import (
	"bytes"
	"crypto/ed25519"
	"math/big"
	"slices"
)

// verifyStrict reports whether signature is the strict Ed25519 signature of
// message by key, by the rules in docs/PROTOCOL.md.
//
// crypto/ed25519 already refuses an S that is not below the group order, a key
// that is no point, and (because it compares encodings) an R that is not
// canonical, and it uses the equation without cofactor. But it takes keys and
// Rs of small order, under which one signature fits many messages, and keys
// whose y is not reduced, which would give one key two ids.
func verifyStrict(key, message, signature []byte) bool {
	return len(key) == ed25519.PublicKeySize && len(signature) == ed25519.SignatureSize &&
		strictPoint(key) && strictPoint(signature[:32]) &&
		ed25519.Verify(key, message, signature)
}

// strictPoint reports whether the encoding of a point has a reduced y, and one
// that no point of small order has. Whether there is a point with that y is
// for others to say.
func strictPoint(encoded []byte) bool {
	y := slices.Clone(encoded)
	y[31] &= 0x7f // the sign of x
	slices.Reverse(y)
	if bytes.Compare(y, fieldPrime) >= 0 {
		return false
	}
	for _, small := range smallOrderY {
		if bytes.Equal(y, small) {
			return false
		}
	}
	return true
}

// fieldPrime is 2^255-19, most significant byte first.
var fieldPrime = hexBytes("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed")

// smallOrderY holds the y-coordinates of the eight points whose order divides
// the cofactor, most significant byte first: order 4, 1, 2, and 8 twice.
var smallOrderY = [][]byte{
	hexBytes("0000000000000000000000000000000000000000000000000000000000000000"),
	hexBytes("0000000000000000000000000000000000000000000000000000000000000001"),
	hexBytes("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec"),
	hexBytes("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7"),
	hexBytes("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826"),
}

// onCurve reports whether there is a point with the y-coordinate of key, which
// is reduced: whether x² = (y²-1)/(dy²+1) has a solution. Nothing here is
// secret, so math/big will do.
func onCurve(key PublicKey) bool {
	p := new(big.Int).SetBytes(fieldPrime)
	encoded := slices.Clone(key[:])
	encoded[31] &= 0x7f
	slices.Reverse(encoded)
	y2 := new(big.Int).SetBytes(encoded)
	y2.Mul(y2, y2).Mod(y2, p)

	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665)).Mod(d, p)
	one := big.NewInt(1)
	u := new(big.Int).Sub(y2, one)
	v := new(big.Int).Mul(d, y2)
	v.Add(v, one)
	// u/v is a square if and only if uv is, and Jacobi takes any integer.
	return big.Jacobi(u.Mul(u, v), p) >= 0
}
