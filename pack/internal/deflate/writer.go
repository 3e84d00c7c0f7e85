package deflate

// A writer packs bits, the lowest first.
type writer struct {
	out  []byte
	acc  uint64
	nacc uint
}

func (w *writer) bits(v int, n uint) {
	w.acc |= uint64(v) << w.nacc
	w.nacc += n
	for w.nacc >= 8 {
		w.out = append(w.out, byte(w.acc))
		w.acc >>= 8
		w.nacc -= 8
	}
}

// align goes on to the next whole byte.
func (w *writer) align() {
	if w.nacc > 0 {
		w.bits(0, 8-w.nacc)
	}
}

func (w *writer) close() []byte {
	w.align()
	return w.out
}

// block writes a block.
func (w *writer) block(src []byte, b block, final bool) {
	last := 0
	if final {
		last = 1
	}
	if b.stored {
		w.stored(src[b.from:b.to], last)
		return
	}
	lit, dist := fixedLitLengths[:], fixedDistLengths[:]
	if b.table == nil {
		w.bits(last|1<<1, 3)
	} else {
		w.bits(last|2<<1, 3)
		w.table(b.table)
		lit, dist = b.table.lit[:], b.table.dist[:]
	}
	var litCodes [288]uint16
	var distCodes [32]uint16
	canonical(lit, litCodes[:])
	canonical(dist, distCodes[:])
	at := b.from
	for _, t := range b.tokens {
		if t.length == 0 {
			w.bits(int(litCodes[src[at]]), uint(lit[src[at]]))
			at++
			continue
		}
		sym := int(lengthSymbol[t.length])
		w.bits(int(litCodes[firstLength+sym]), uint(lit[firstLength+sym]))
		w.bits(int(t.length-lengthBase[sym]), uint(lengthExtra[sym]))
		sym = int(distSymbol[t.dist])
		w.bits(int(distCodes[sym]), uint(dist[sym]))
		w.bits(int(t.dist-distBase[sym]), uint(distExtra[sym]))
		at += int(t.length)
	}
	w.bits(int(litCodes[endOfBlock]), uint(lit[endOfBlock]))
}

// stored writes bytes as they are, in as many blocks as it takes.
func (w *writer) stored(data []byte, last int) {
	for {
		n := min(len(data), 0xffff)
		final := 0
		if n == len(data) {
			final = last
		}
		w.bits(final, 3)
		w.align()
		w.bits(n, 16)
		w.bits(n^0xffff, 16)
		w.out = append(w.out, data[:n]...)
		if data = data[n:]; len(data) == 0 {
			return
		}
	}
}

// table writes the codes of a block.
func (w *writer) table(t *table) {
	w.bits(t.nlit-firstLength, 5)
	w.bits(t.ndist-1, 5)
	w.bits(t.nmeta-4, 4)
	for _, sym := range metaOrder[:t.nmeta] {
		w.bits(int(t.meta[sym]), 3)
	}
	var codes [19]uint16
	canonical(t.meta[:], codes[:])
	for _, s := range t.symbols {
		w.bits(int(codes[s.sym]), uint(t.meta[s.sym]))
		switch s.sym {
		case 16:
			w.bits(int(s.extra), 2)
		case 17:
			w.bits(int(s.extra), 3)
		case 18:
			w.bits(int(s.extra), 7)
		}
	}
}
