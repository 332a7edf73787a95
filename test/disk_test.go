package test

import (
	"maps"
	"os"
	"path/filepath"
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
