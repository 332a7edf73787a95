// Package gate decides who may come in and when: how many connections there may
// be before a login, how long a source of wrong passwords waits, and how many
// passwords are checked at once. Nobody is ever shut out for what was tried with
// his name.
package gate

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
)

// Network returns the network that counts as one source: an IPv4 address, or
// the 64 bits of an IPv6 address that one customer has at least.
func Network(addr netip.Addr) netip.Prefix { return network(addr, 64) }

// Site returns what one customer may have at most, who could be 65,536 networks: 48 bits
// of an IPv6 address. An IPv4 address is of no site.
func Site(addr netip.Addr) (site netip.Prefix, ok bool) {
	return network(addr, 48), addr.Unmap().Is6()
}

func network(addr netip.Addr, bits int) netip.Prefix {
	addr = addr.Unmap()
	if !addr.Is6() {
		bits = 32
	}
	network, err := addr.WithZone("").Prefix(bits)
	if err != nil { // not an address: all such are one source
		return netip.Prefix{}
	}
	return network
}

// Peer returns the address that a connection comes from, an IPv4 one as such.
func Peer(conn int) (netip.AddrPort, error) {
	sa, err := syscall.Getpeername(conn)
	if err != nil {
		return netip.AddrPort{}, os.NewSyscallError("getpeername", err)
	}
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, errors.New("not an internet address")
}
