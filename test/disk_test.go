package test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnTheDisk copies a file system's image at the moment of each
// acknowledgement, as if the power had failed then, and looks what is in it.
func TestOnTheDisk(t *testing.T) {
	c, template := newCrash(t)
	mkfs := need(t, "mkfs.ext4", "e2fsprogs")
	h := c.h
	image, disk := filepath.Join(h.Dir, "image"), filepath.Join(h.Dir, "disk")
	rounds := 1
	if os.Getenv("SMAIL_CRASHTEST") != "" {
		rounds = 5
	}
	mount := func(image string) {
		os.MkdirAll(disk, 0o755)
		h.must("", "mount", "-o", "loop", image, disk)
		c.box = filepath.Join(disk, "Maildir")
	}
	t.Cleanup(func() { h.client("", "umount", "-l", disk) })
	for range rounds {
		os.Remove(image)
		h.must("", "truncate", "-s", "32M", image)
		h.must("", mkfs, "-q", image)
		mount(image)
		os.Chmod(disk, 0o777)
		c.prepare(template)
		h.must("", "sync", "-f", disk)
		type moment struct {
			image string
			acks  map[string]bool
			told  map[string]int
		}
		var moments []moment
		c.tool = nil
		c.run(func(step string) {
			copied := filepath.Join(h.Dir, "at-"+step)
			h.must("", "cp", "--sparse=always", image, copied)
			moments = append(moments, moment{copied, maps.Clone(c.acks), maps.Clone(c.told)})
		})
		h.must("", "umount", disk)
		if !c.end || len(moments) != len(steps) {
			t.Fatalf("only %v were acknowledged", c.acks)
		}
		for i, m := range moments {
			mount(m.image)
			c.acks, c.told = m.acks, m.told
			for _, problem := range c.check() {
				t.Errorf("when %s was acknowledged: %s", steps[i].name, problem)
			}
			h.must("", "umount", disk)
			os.Remove(m.image)
		}
	}
}

// TestFullDisk: who is out of space reads, and deletes to have some again.
func TestFullDisk(t *testing.T) {
	t.Run("blocks", func(t *testing.T) { fullDisk(t, false) })
	t.Run("inodes, too", func(t *testing.T) { fullDisk(t, true) })
}

func fullDisk(t *testing.T, inodes bool) {
	h := cveHost(t, []string{"imaps", "pop3s"})
	mkfs := need(t, "mkfs.ext4", "e2fsprogs")
	image, box := filepath.Join(h.Dir, "image"), h.maildir(h.alice)
	h.must("", "truncate", "-s", "3M", image)
	h.must("", mkfs, "-q", "-m", "0", "-b", "1024", "-N", "200", image)
	os.MkdirAll(box, 0o755)
	h.must("", "mount", "-o", "loop", image, box)
	t.Cleanup(func() { h.client("", "umount", "-l", box) })
	for _, sub := range []string{"cur", "new", "tmp"} {
		os.Mkdir(filepath.Join(box, sub), 0o700)
	}
	var messages []string
	for i := range 10 {
		messages = append(messages, fmt.Sprintf("Subject: %d\n\ntext of %d\n", i, i))
	}
	fill(t, box, messages...)
	h.own(box, h.alice)
	h.login().until("b SELECT INBOX", "b OK")
	rest, err := os.Create(filepath.Join(box, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	defer rest.Close()
	if inodes {
		many := filepath.Join(box, "many")
		os.Mkdir(many, 0o700)
		for n := 0; os.WriteFile(filepath.Join(many, fmt.Sprint(n)), nil, 0o600) == nil; n++ {
		}
	}
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = rest.Write(make([]byte, size))
		}
	}
	d := h.login()
	d.ok("SELECT INBOX")
	if got := d.ok("UID FETCH 5 (BODY[])"); !strings.Contains(got, "text of 4") {
		t.Errorf("read: %q", got)
	}
	d.ok(`UID STORE 1,2 +FLAGS (\Deleted)`)
	if got := d.ok("EXPUNGE"); strings.Count(got, "EXPUNGE\n") != 2 {
		t.Errorf("expunged: %q", got)
	}
	if got := d.until("c CREATE Q", "c "); !strings.HasPrefix(got, "c NO [OVERQUOTA]") {
		t.Errorf("create: %q", got)
	}
	if got := d.ok(`LIST "" Q`); strings.Contains(got, "* LIST") {
		t.Errorf("half made: %q", got)
	}
	p := h.dial("pop3s")
	p.expect("USER "+h.alice.Username, "+OK")
	p.expect("PASS "+h.password, "+OK")
	p.expect("DELE 1", "+OK")
	p.expect("QUIT", "+OK")
	if left, _ := filepath.Glob(filepath.Join(box, "cur", "*")); len(left) != 7 {
		t.Errorf("left: %q", left)
	}
	if locks, _ := filepath.Glob(filepath.Join(box, "*.lock")); len(locks) != 0 {
		t.Errorf("left: %q", locks)
	}
}

// TestReadOnlyHome: mail is read where it cannot be changed, and clients know.
func TestReadOnlyHome(t *testing.T) {
	h := cveHost(t, []string{"imaps"})
	box := h.maildir(h.alice)
	h.deliver(h.alice, "Subject: x\n\ntext\n")
	h.login().until("b SELECT INBOX", "b OK")
	h.must("", "mount", "--bind", box, box)
	t.Cleanup(func() { h.client("", "umount", "-l", box) })
	h.must("", "mount", "-o", "remount,ro,bind", box)
	d := h.login()
	if got := d.ok("SELECT INBOX"); !strings.Contains(got, "k7 OK [READ-ONLY]") {
		t.Errorf("select: %q", got)
	}
	if got := d.ok("UID FETCH 1 (BODY[])"); !strings.Contains(got, "text") {
		t.Errorf("read: %q", got)
	}
	for _, command := range []string{"CREATE Q", "SUBSCRIBE INBOX"} {
		if got := d.until("c "+command, "c "); !strings.Contains(got, "c NO [NOPERM]") {
			t.Errorf("%s: %q", command, got)
		}
	}
}
