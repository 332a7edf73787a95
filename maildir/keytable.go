package maildir

import (
	"bytes"
	"hash/maphash"
)

// A keyTable finds which of n items has a key. It allocates four to eight
// bytes an item, where a map would keep the keys.
type keyTable struct {
	seed  maphash.Seed
	slots []uint32 // item+1; 0: empty
	key   func(n int) []byte
}

func newKeyTable(n int, key func(n int) []byte) *keyTable {
	size := 8
	for size < n+n/2 {
		size *= 2
	}
	return &keyTable{maphash.MakeSeed(), make([]uint32, size), key}
}

// add enters item n, unless one with its key is there; it returns the one that
// the table then has.
func (t *keyTable) add(n int) int {
	key := t.key(n)
	for i := maphash.Bytes(t.seed, key); ; i++ {
		slot := &t.slots[i&uint64(len(t.slots)-1)]
		if *slot == 0 {
			*slot = uint32(n + 1)
			return n
		}
		if bytes.Equal(t.key(int(*slot-1)), key) {
			return int(*slot - 1)
		}
	}
}

// find returns the item with a key.
func (t *keyTable) find(key []byte) (n int, ok bool) {
	for i := maphash.Bytes(t.seed, key); ; i++ {
		slot := t.slots[i&uint64(len(t.slots)-1)]
		if slot == 0 {
			return 0, false
		}
		if bytes.Equal(t.key(int(slot-1)), key) {
			return int(slot - 1), true
		}
	}
}
