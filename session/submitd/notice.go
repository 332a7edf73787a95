package submitd

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A failure is a recipient that the next one did not take a message for that
// others got.
type failure struct {
	recipient
	err error
}

// temporary says whether the recipient may get the message later.
func (f failure) temporary() bool {
	var a *answer
	return !errors.As(f.err, &a) || a.code/100 == 4
}

// tell puts a delivery status notification (RFC 3464) into the user's INBOX.
func (s *server) tell(e *envelope, failed []failure) error {
	f := &filing{}
	defer f.abort()
	if err := f.open(s.Config.MaildirOf(s.User, s.Home), ""); err != nil {
		return err
	}
	if _, err := f.Write(s.notice(e, failed)); err != nil {
		return err
	}
	_, err := f.commit()
	return err
}

func (s *server) notice(e *envelope, failed []failure) []byte {
	host, boundary := s.Config.Hostname, "="+newID()
	b := fmt.Appendf(nil, "Return-Path: <>\nFrom: Mail Delivery System <MAILER-DAEMON@%s>\nTo: %s\nSubject: Not delivered to all recipients\n"+
		"Date: %s\nMessage-ID: <%s@%s>\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n"+
		"Content-Type: multipart/report; report-type=delivery-status; boundary=%q\n\n--%s\nContent-Type: text/plain\n\n"+
		"The message %s that you have sent could not be delivered to\n\n",
		host, s.own.Main(), time.Now().Format(dateLayout), newID(), host, boundary, boundary, e.id)
	status := fmt.Appendf(nil, "--%s\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; %s\nArrival-Date: %s\n",
		boundary, host, time.Now().Format(dateLayout))
	if e.mail.EnvelopeID != "" {
		status = fmt.Appendf(status, "Original-Envelope-Id: %s\n", xtext(e.mail.EnvelopeID))
	}
	for _, f := range failed {
		code, said := "4.0.0", f.err.Error()
		var a *answer
		if errors.As(f.err, &a) {
			code = fmt.Sprintf("%d.0.0", a.code/100)
			if c, _ := enhancedCode(a.text()); c[0] == a.code/100 {
				code = strings.Trim(strings.ReplaceAll(fmt.Sprint(c), " ", "."), "[]")
			}
		}
		b = fmt.Appendf(b, "  %s\n    %s\n", f.address, oneLine(said))
		status = append(status, '\n')
		if f.options.OriginalRecipient != "" {
			status = fmt.Appendf(status, "Original-Recipient: %s; %s\n", strings.ToLower(string(f.options.OriginalRecipientType)), xtext(f.options.OriginalRecipient))
		}
		status = fmt.Appendf(status, "Final-Recipient: rfc822; %s\nAction: failed\nStatus: %s\nDiagnostic-Code: smtp; %s\n", f.address, code, oneLine(said))
	}
	b = append(b, "\nThe other recipients have it.\n\n"...)
	return fmt.Appendf(append(b, status...), "\n--%s--\n", boundary)
}
