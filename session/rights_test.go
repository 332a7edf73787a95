package session

import (
	"strings"
	"testing"
)

// TestJudge: one uid and one gid, not root's, and no capability.
func TestJudge(t *testing.T) {
	good := "Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n"
	if err := judge(good); err != nil {
		t.Errorf("good: %v", err)
	}
	for old, bad := range map[string]string{
		"Uid:\t1000\t1000\t1000\t1000": "Uid:\t0\t0\t0\t0", "Uid:\t1000\t1000\t1000": "Uid:\t0\t1000\t1000",
		"Uid:\t1000\t1000\t1000\t1000\n": "Uid:\t1000\t1000\t0\t1000\n", "Uid:": "Xid:", "Gid:\t100\t100": "Gid:\t100\t0", "Gid:\t100\t100\t100\t100": "Gid:\t100",
		"CapInh:\t0000000000000000": "CapInh:\t0000000000000080", "CapPrm:\t0000000000000000": "CapPrm:\t0000000000000080",
		"CapEff:\t0000000000000000": "CapEff:\t0000000000000080", "CapAmb:\t0000000000000000": "CapAmb:\t0000000000000080", "CapEff:": "CapX:",
	} {
		text := strings.Replace(good, old, bad, 1)
		if text == good || judge(text) == nil {
			t.Errorf("%q instead of %q is taken", bad, old)
		}
	}
}
