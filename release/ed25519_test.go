package release

import (
	"crypto/ed25519"
	"math/big"
	"slices"
	"testing"
)

func standardVerify(key, message, signature []byte) bool {
	return len(signature) == ed25519.SignatureSize && ed25519.Verify(key, message, signature)
}

// The field's prime, and y₈: the doubling of a point of order 8 has y = 0, so
// dy⁴ + 2y² - 1 = 0.
func TestConstants(t *testing.T) {
	p := new(big.Int).Lsh(big.NewInt(1), 255)
	p.Sub(p, big.NewInt(19))
	if got := new(big.Int).SetBytes(fieldPrime); got.Cmp(p) != 0 {
		t.Errorf("fieldPrime is %x", got)
	}
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665)).Mod(d, p)
	for _, small := range smallOrderY[3:] {
		y := new(big.Int).SetBytes(small)
		y2 := new(big.Int).Mul(y, y)
		sum := new(big.Int).Mul(d, new(big.Int).Mul(y2, y2))
		sum.Add(sum, y2).Add(sum, y2).Sub(sum, big.NewInt(1)).Mod(sum, p)
		if sum.Sign() != 0 {
			t.Errorf("%x is no y of a point of order 8", small)
		}
	}
	if sum := new(big.Int).Add(new(big.Int).SetBytes(smallOrderY[3]), new(big.Int).SetBytes(smallOrderY[4])); sum.Cmp(p) != 0 {
		t.Error("the two are not each other's negatives")
	}
}

// onCurve agrees with the standard library on random encodings, of which half
// are points.
func TestOnCurve(t *testing.T) {
	points := 0
	for i := range 200 {
		key := testKey(t, string(rune(i))).PublicKey()
		if !onCurve(key) || key.Check() != nil {
			t.Errorf("%s is a key", key)
		}
		// Any 32 bytes: a key's, changed.
		key[7] ^= byte(i + 1)
		if !strictPoint(key[:]) {
			continue
		}
		is := isPoint(key)
		if onCurve(key) != is {
			t.Errorf("%x: a point is %v", key, is)
		}
		if is {
			points++
		}
	}
	if points < 50 || points > 150 {
		t.Errorf("%d of 200 are points", points)
	}
}

// isPoint solves for x, as RFC 8032 does it in section 5.1.3.
func isPoint(key PublicKey) bool {
	p := new(big.Int).SetBytes(fieldPrime)
	encoded := slices.Clone(key[:])
	encoded[31] &= 0x7f
	slices.Reverse(encoded)
	y := new(big.Int).SetBytes(encoded)
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665)).Mod(d, p)
	y2 := new(big.Int).Mul(y, y)
	u := new(big.Int).Sub(y2, big.NewInt(1))
	v := new(big.Int).Mul(d, y2)
	v.Add(v, big.NewInt(1)).ModInverse(v, p)
	square := u.Mul(u, v).Mod(u, p)
	return new(big.Int).ModSqrt(square, p) != nil
}
