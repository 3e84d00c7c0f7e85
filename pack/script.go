package pack

// script returns the triples that make data of base. from is the place of data in
// its file, near which its pieces are expected in the base.
func script(data, base []byte, from int) []byte {
	const seed = 12
	where := make(map[string]int)
	for i := len(base) - seed; i >= 0; i-- {
		where[string(base[i:i+seed])] = i
	}
	var out []byte
	cursor, done := 0, 0
	for i := 0; i+seed <= len(data); {
		at, ok := where[string(data[i:i+seed])]
		if !ok {
			i++
			continue
		}
		for i > done && at > 0 && data[i-1] == base[at-1] {
			i, at = i-1, at-1
		}
		n := 0
		for i+n < len(data) && at+n < len(base) && data[i+n] == base[at+n] {
			n++
		}
		out = appendLiteral(out, data[done:i])
		cursor += i - done
		out = appendCopy(out, n, at-cursor, false)
		cursor, i = at+n, i+n
		done = i
	}
	if done < len(data) {
		out = appendLiteral(out, data[done:])
	}
	return out
}

func appendLiteral(out, literal []byte) []byte {
	return append(appendNumber(out, len(literal)), literal...)
}

// appendCopy appends a copy of n bytes, after a move of the cursor. Where adds is
// set, the differences have to follow.
func appendCopy(out []byte, n, seek int, adds bool) []byte {
	n <<= 1
	if adds {
		n |= 1
	}
	return appendNumber(appendNumber(out, n), seek<<1^seek>>63)
}
