package inflate

// A code is a Huffman code by its lengths alone: RFC 1951 section 3.2.2. Codes
// of one length follow each other, in the order of their symbols.
type code struct {
	count   [16]uint16  // how many codes have each length
	symbols [288]uint16 // by code
}

// set makes the code of these lengths. One that is short of codes is taken only
// if it has none, or one of one bit; one that has too many never.
func (c *code) set(lengths []byte) bool {
	*c = code{}
	for _, n := range lengths {
		c.count[n]++
	}
	if int(c.count[0]) == len(lengths) {
		return true // no code at all, which matters only when it is used
	}
	left := 1
	var first [16]uint16
	for n := 1; n < 16; n++ {
		if left = left<<1 - int(c.count[n]); left < 0 {
			return false
		}
		if n < 15 {
			first[n+1] = first[n] + c.count[n]
		}
	}
	for symbol, n := range lengths {
		if n != 0 {
			c.symbols[first[n]] = uint16(symbol)
			first[n]++
		}
	}
	return left == 0 || left == 1<<14 && c.count[1] == 1
}

// symbol decodes one symbol, bit by bit, and takes no bit beyond it.
func (r *Reader) symbol(c *code) (int, error) {
	value, first, index := 0, 0, 0
	for n := 1; n < 16; n++ {
		value |= int(r.take(1))
		count := int(c.count[n])
		if value-count < first {
			return int(c.symbols[index+value-first]), nil
		}
		index, first, value = index+count, (first+count)<<1, value<<1
	}
	return 0, ErrCorrupt
}

// The codes of section 3.2.6.
var fixedLengths, fixedDistances = func() (lengths, distances code) {
	var l [288]byte
	for i := range l {
		switch {
		case i < 144:
			l[i] = 8
		case i < 256:
			l[i] = 9
		case i < 280:
			l[i] = 7
		default:
			l[i] = 8
		}
	}
	lengths.set(l[:])
	var d [30]byte
	for i := range d {
		d[i] = 5
	}
	distances.set(d[:])
	return lengths, distances
}()

// lengthOrder is in which order lengths of lengths come: section 3.2.7.
var lengthOrder = [19]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// codes reads the codes of a block: section 3.2.7.
func (r *Reader) codes(lengths, distances *code) error {
	nlen, ndist, ncode := int(r.take(5))+257, int(r.take(5))+1, int(r.take(4))+4
	if nlen > 286 || ndist > 30 {
		return ErrCorrupt
	}
	var all [320]byte
	for i := range ncode {
		all[lengthOrder[i]] = byte(r.take(3))
	}
	var meta code
	if !meta.set(all[:19]) {
		return ErrCorrupt
	}
	clear(all[:19])
	for i := 0; i < nlen+ndist; {
		symbol, err := r.symbol(&meta)
		if err != nil {
			return err
		}
		if symbol < 16 {
			all[i] = byte(symbol)
			i++
			continue
		}
		repeat, value := 0, byte(0)
		switch symbol {
		case 16:
			if i == 0 {
				return ErrCorrupt
			}
			repeat, value = 3+int(r.take(2)), all[i-1]
		case 17:
			repeat = 3 + int(r.take(3))
		default:
			repeat = 11 + int(r.take(7))
		}
		if i+repeat > nlen+ndist {
			return ErrCorrupt
		}
		for range repeat {
			all[i] = value
			i++
		}
	}
	if all[256] == 0 || !lengths.set(all[:nlen]) || !distances.set(all[nlen:nlen+ndist]) { // 256 ends a block
		return ErrCorrupt
	}
	return nil
}
