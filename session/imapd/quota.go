package imapd

import (
	"smail/imap"
	"smail/maildir"
)

// quotaRoot is the one quota root there is: it holds all mailboxes.
const quotaRoot = "User quota"

// getQuota: RFC 9208 section 4.1.1.
func (s *session) getQuota(bool) error {
	var root string
	if !s.d.SP() || !s.d.AString(&root) || !s.d.CRLF() {
		return s.d.Err()
	}
	q, ok, err := s.Store.Quota()
	if err != nil {
		return err
	}
	if !ok || root != quotaRoot {
		return imap.No("NONEXISTENT", "No such quota root")
	}
	s.tellQuota(q)
	return s.finish(true, "", "GETQUOTA done")
}

// getQuotaRoot: RFC 9208 section 4.1.2. The mailbox need not exist.
func (s *session) getQuotaRoot(bool) error {
	var name string
	if !s.d.SP() || !s.d.Mailbox(&name) || !s.d.CRLF() {
		return s.d.Err()
	}
	if _, err := s.folderName(name); err != nil {
		return err
	}
	q, ok, err := s.Store.Quota()
	if err != nil {
		return err
	}
	s.w.Raw("* QUOTAROOT ").Mailbox(name)
	if ok {
		s.w.Raw(" ").String(quotaRoot)
	}
	s.w.CRLF()
	if ok {
		s.tellQuota(q)
	}
	return s.finish(true, "", "GETQUOTAROOT done")
}

// tellQuota sends a QUOTA response: RFC 9208 section 4.2.1. STORAGE is in units
// of 1,024 octets (section 5.1).
func (s *session) tellQuota(q maildir.Quota) {
	s.w.Raw("* QUOTA ").String(quotaRoot).Raw(" (")
	sep := ""
	if q.MaxBytes > 0 {
		s.w.Raw("STORAGE ").Num64((q.Bytes + 1023) / 1024).Raw(" ").Num64(q.MaxBytes / 1024)
		sep = " "
	}
	if q.MaxMessages > 0 {
		s.w.Raw(sep).Raw("MESSAGE ").Num64(q.Messages).Raw(" ").Num64(q.MaxMessages)
	}
	s.w.Raw(")").CRLF()
}
