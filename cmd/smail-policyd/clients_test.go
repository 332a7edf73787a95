package main

import (
	"net"
	"testing"
	"time"
)

// TestSilentClientsGo: the one that has been silent for longest makes room.
func TestSilentClientsGo(t *testing.T) {
	c := &clients{since: map[net.Conn]time.Time{}}
	var ends []net.Conn
	for i := range maxClients {
		end, conn := net.Pipe()
		ends = append(ends, end)
		c.add(conn)
		c.since[conn] = time.Now().Add(time.Duration(i-maxClients) * time.Second)
		if i == 0 { // it speaks
			go end.Write([]byte("x"))
			heard{conn, c}.Read(make([]byte, 1))
		}
	}
	_, conn := net.Pipe()
	c.add(conn)
	if n := c.count(); n != maxClients {
		t.Errorf("%d clients", n)
	}
	for i, end := range ends[:3] {
		end.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		_, err := end.Read(make([]byte, 1))
		if timeout, _ := err.(net.Error); (timeout == nil) != (i == 1) {
			t.Errorf("connection %d: %v", i, err)
		}
	}
}
