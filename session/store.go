package session

import (
	"smail/config"
	"smail/maildir"
)

// SyncMode is the store's form of the setting fsync.
func SyncMode(c *config.Config) maildir.SyncMode {
	return map[string]maildir.SyncMode{"always": maildir.Always, "optimized": maildir.Optimized, "never": maildir.Never}[c.Fsync]
}
