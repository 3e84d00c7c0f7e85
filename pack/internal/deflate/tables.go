package deflate

// What RFC 1951 fixes.
const (
	endOfBlock  = 256
	firstLength = 257
	maxLit      = 286 // symbols for literals, end and lengths
	maxDist     = 30
	minMatch    = 3
	maxMatch    = 258
)

var (
	lengthBase  = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase    = [maxDist]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distExtra   = [maxDist]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	metaOrder   = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

	fixedLitLengths, fixedDistLengths = fixedLengths()
	fixedLit, fixedDist               = mustCode(fixedLitLengths[:]), mustCode(fixedDistLengths[:])

	lengthSymbol = lengthSymbols()
	distSymbol   = distSymbols()
)

func fixedLengths() (lit [288]uint8, dist [32]uint8) {
	for i := range lit {
		switch {
		case i < 144, i >= 280:
			lit[i] = 8
		case i < 256:
			lit[i] = 9
		default:
			lit[i] = 7
		}
	}
	for i := range dist {
		dist[i] = 5
	}
	return lit, dist
}

func mustCode(lengths []uint8) code {
	c, err := newCode(lengths, false)
	if err != nil {
		panic(err)
	}
	return c
}

// lengthSymbols returns the index into lengthBase of each length.
func lengthSymbols() (t [maxMatch + 1]uint8) {
	for sym, base := range lengthBase {
		for n := int(base); n <= maxMatch; n++ {
			t[n] = uint8(sym)
		}
	}
	return t
}

// distSymbols returns the index into distBase of each distance.
func distSymbols() (t [maxWindow + 1]uint8) {
	for sym, base := range distBase {
		for d := int(base); d <= maxWindow; d++ {
			t[d] = uint8(sym)
		}
	}
	return t
}
