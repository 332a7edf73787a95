package main

import (
	"fmt"
	"strings"
)

// wAppend: small messages one by one, from one client and from eight, and a
// large one.
func wAppend(x *run) error {
	us := users(x.t.user, 20, 8)
	for _, u := range us {
		if err := x.t.fill(u, nil, true); err != nil {
			return err
		}
	}
	x.step("append.seq", func() error {
		const n = 400
		if err := x.rate("append.seq", "msg/s", n, func() error { return x.put(us[0], n) }); err != nil {
			return err
		}
		if err := x.holds(us[0], n); err != nil {
			return err
		}
		return x.t.fill(us[0], nil, true)
	})
	x.step("append.c8", func() error {
		const n = 150
		err := x.rate("append.c8", "msg/s", 8*n, func() error {
			return parallel(8, func(i int) error { return x.put(us[i], n) })
		})
		if err != nil {
			return err
		}
		return parallel(8, func(i int) error { return x.holds(us[i], n) })
	})
	x.step("append.50M", x.appendBig)
	return nil
}

// put appends n small messages to INBOX.
func (x *run) put(user string, n int) error {
	msg := wireMessage(6, 4096)
	return x.session(user, -1, func(ic *imapConn) error {
		for range n {
			if err := ic.append("INBOX", msg); err != nil {
				return err
			}
		}
		return nil
	})
}

// holds says whether INBOX holds n messages.
func (x *run) holds(user string, n int) error {
	return x.session(user, n, func(*imapConn) error { return nil })
}

// appendBig appends a large message twice: for its rate and for its memory.
func (x *run) appendBig() error {
	big := wireMessage(7, 50<<20)
	u := x.t.user(28)
	if err := x.t.fill(u, nil, true); err != nil {
		return err
	}
	err := x.session(u, 0, func(ic *imapConn) error {
		ic.capability()
		return x.rate("append.50M", "MB/s", float64(len(big))/1e6, func() error { return ic.append("INBOX", big) })
	})
	if err != nil {
		return err
	}
	return x.session(u, 1, func(ic *imapConn) error {
		ic.capability()
		if err := x.withPeak("append.50M", func() error { return ic.append("INBOX", big) }); err != nil {
			return err
		}
		if err := ic.selectBox("INBOX", 2); err != nil {
			return err
		}
		t, err := ic.cmd("UID FETCH 1:* (RFC822.SIZE)")
		if err == nil && t.sumSize != 2*int64(len(big)) {
			err = fmt.Errorf("stored sizes add up to %d, want 2 x %d", t.sumSize, len(big))
		}
		return err
	})
}

// folder creates a mailbox and returns its full name.
func folder(c *imapConn, name string) (string, error) {
	prefix := ""
	tag := c.send("NAMESPACE")
	for {
		l, err := c.rd.line()
		if err != nil {
			return "", err
		}
		s := string(trimEOL(l))
		if rest, ok := strings.CutPrefix(s, `* NAMESPACE (("`); ok {
			prefix, _, _ = strings.Cut(rest, `"`)
		}
		if strings.HasPrefix(s, tag+" ") {
			break
		}
	}
	c.cmd("DELETE " + prefix + name) // may not exist
	_, err := c.cmd("CREATE " + prefix + name)
	return prefix + name, err
}

// changeSome is how many messages are copied, moved and expunged.
const changeSome = 1000

// wChange: flags, copies, moves and expunges in a big mailbox.
func wChange(x *run) error {
	c, err := x.b.corpus("10k")
	if err != nil {
		return err
	}
	u := x.t.user(0)
	if err := x.t.fill(u, c, false); err != nil {
		return err
	}
	return x.session(u, c.Count, func(ic *imapConn) error {
		box, err := folder(ic, "Bench")
		if err != nil {
			return err
		}
		left := c.Count
		x.step("store.one", func() error { return x.storeOne(ic) })
		x.step("store.all", func() error { return x.storeAll(ic, c.Count) })
		x.step("copy.1k", func() error {
			return x.rate("copy.1k", "msg/s", changeSome, func() error {
				_, err := ic.cmd(fmt.Sprintf("COPY 1:%d %s", changeSome, box))
				return err
			})
		})
		x.step("move.1k", func() error {
			if !ic.has("MOVE") {
				return errUnsupported
			}
			err := x.removes("move.1k", ic, fmt.Sprintf("MOVE 1:%d %s", changeSome, box))
			if err == nil {
				left -= changeSome
			}
			return err
		})
		x.step("expunge.1k", func() error {
			if _, err := ic.cmd(fmt.Sprintf("STORE 1:%d +FLAGS.SILENT (\\Deleted)", changeSome)); err != nil {
				return err
			}
			left -= changeSome
			return x.removes("expunge.1k", ic, "EXPUNGE")
		})
		if err := ic.selectBox(box, c.Count-left); err != nil {
			return err
		}
		return ic.selectBox("INBOX", left)
	})
}

// storeOne changes a flag of one message after another.
func (x *run) storeOne(ic *imapConn) error {
	const n = 300
	return x.rate("store.one", "cmd/s", n, func() error {
		for i := range n {
			t, err := ic.cmd(fmt.Sprintf("STORE %d +FLAGS (\\Draft)", 1+i*33))
			if err != nil {
				return err
			}
			if t.fetches < 1 {
				return fmt.Errorf("STORE: no FETCH response")
			}
		}
		return nil
	})
}

// storeAll changes a flag of all messages, of which storeOne has changed 300.
func (x *run) storeAll(ic *imapConn, count int) error {
	return x.rate("store.all", "msg/s", float64(count), func() error {
		t, err := ic.cmd("STORE 1:* +FLAGS (\\Draft)")
		if err == nil && t.fetches < count-300 {
			err = fmt.Errorf("%d FETCH responses, want %d", t.fetches, count)
		}
		return err
	})
}

// removes measures a command after which changeSome messages are gone.
func (x *run) removes(id string, ic *imapConn, command string) error {
	return x.rate(id, "msg/s", changeSome, func() error {
		t, err := ic.cmd(command)
		if err == nil && t.expunges != changeSome {
			err = fmt.Errorf("%d EXPUNGE responses, want %d", t.expunges, changeSome)
		}
		return err
	})
}
