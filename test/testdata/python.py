# Python's own mail clients against smail. The password comes on standard input.
import imaplib, poplib, smtplib, ssl, sys
from email.message import EmailMessage

user, cert = sys.argv[1:3]
imaps, pop3s, submissions, submission, imap, pop3 = map(int, sys.argv[3:])
password = sys.stdin.read()
tls = ssl.create_default_context(cafile=cert)


def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]


# imaplib quotes no password by itself
with imaplib.IMAP4_SSL("localhost", imaps, ssl_context=tls) as m:
    m.login(user, password)
    ok(m.create("Work"))
    ok(m.create('"A &Jjo-!"'))
    ok(m.subscribe("Work"))
    text = b"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nFrom: a@example.net\r\n\r\nThe body\r\n"
    for n in range(5):
        ok(m.append("INBOX", "(\\Flagged)", '"17-Jul-1996 02:44:25 -0700"', text))
    assert ok(m.select("INBOX")) == [b"5"]
    assert ok(m.search(None, "FLAGGED")) == [b"1 2 3 4 5"]
    m.literal = "GRÜSSE".lower().replace("ss", "ß").encode()
    assert ok(m.search("UTF-8", "SUBJECT")) == [b"1 2 3 4 5"]
    assert ok(m.search(None, "BODY", '"the BODY"')) == [b"1 2 3 4 5"]
    fetched = ok(m.fetch("1", "(FLAGS INTERNALDATE RFC822.SIZE BODY[])"))
    assert fetched[0][1] == text, fetched
    assert b"RFC822.SIZE %d" % len(text) in fetched[0][0] and b"17-Jul-1996" in fetched[0][0], fetched
    ok(m.copy("1:3", "Work"))
    ok(m.store("1", "+FLAGS.SILENT", "(\\Deleted \\Answered)"))
    assert ok(m.expunge()) == [b"1"]
    ok(m.uid("MOVE", "2", "Work"))
    assert ok(m.status("Work", "(MESSAGES UIDNEXT)")) == [b'"Work" (MESSAGES 4 UIDNEXT 5)'], m.status("Work", "(MESSAGES UIDNEXT)")
    ok(m.unselect())
    ok(m.rename("Work", "Play.2026"))
    names = ok(m.list())
    assert any(n.endswith(b'"Play.2026"') for n in names), names
    ok(m.delete("Play.2026"))
    ok(m.select("INBOX", readonly=True))
    typ, _ = m.store("1", "+FLAGS", "\\Deleted")
    assert typ == "NO", typ

with imaplib.IMAP4("localhost", imap) as m:
    try:
        m.login(user, password)
        raise SystemExit("a password was taken in clear text")
    except imaplib.IMAP4.error:
        pass
    m.starttls(tls)
    m.authenticate("PLAIN", lambda _: b"\0" + user.encode() + b"\0" + password.encode())
    assert ok(m.select()) == [b"3"]

p = poplib.POP3_SSL("localhost", pop3s, context=tls)
p.user(user)
p.pass_(password)
assert p.stat()[0] == 3, p.stat()
assert len(p.uidl()[1]) == 3
lines = p.retr(1)[1]
assert lines[-1] == b"The body" and len(b"\r\n".join(lines)) + 2 == int(p.list(1).split()[2]), lines
assert p.top(2, 0)[1][-1] == b""
p.dele(1)
p.quit()
p = poplib.POP3("localhost", pop3)
assert "STLS" in p.capa()
p.stls(tls)
p.user(user)
p.pass_(password)
assert p.stat()[0] == 2, p.stat()
p.rset()
p.quit()

msg = EmailMessage()
msg["Subject"], msg["To"], msg["Bcc"] = "by smtplib", "b@example.net", "c@example.net"
msg.set_content("Hello\n.dot\n")
for s in smtplib.SMTP_SSL("localhost", submissions, context=tls), smtplib.SMTP("localhost", submission):
    if s.sock.__class__ is not ssl.SSLSocket:
        s.starttls(context=tls)
    s.login(user, password)
    assert s.sendmail(user + "@localhost", ["b@example.net"], msg.as_string()) == {}
    try:
        s.sendmail("mallory@example.net", ["b@example.net"], msg.as_string())
        raise SystemExit("another's address was accepted")
    except smtplib.SMTPSenderRefused as e:
        assert e.smtp_code == 553, e
    s.quit()
with smtplib.SMTP_SSL("localhost", submissions, context=tls) as s:
    # no login: that of POP3 a moment ago counts
    s.sendmail(user + "@localhost", ["b@example.net"], msg.as_string())
print("all well")
