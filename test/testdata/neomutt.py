# neomutt against smail, on a terminal of its own: header cache, CONDSTORE,
# QRESYNC, IDLE, and COMPRESS where it was built with that. The password comes on standard input.
import glob, os, pty, re, select, sys, time

user, cert, port, maildir, work = sys.argv[1:]
password = sys.stdin.read().rstrip("\n")
os.makedirs(f"{work}/bodies", exist_ok=True)
quoted = password.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
rc = f"""set imap_user="{user}" imap_pass="{quoted}"
set folder="imaps://localhost:{port}/" spool_file="+INBOX" record="+Sent" postponed="+Drafts" mbox_type=Maildir
set certificate_file="{cert}" ssl_ca_certificates_file="{cert}" ssl_verify_host=yes ssl_force_tls=yes
set header_cache="{work}/hcache" message_cachedir="{work}/bodies"
set imap_condstore=yes imap_qresync=yes imap_idle=yes imap_pipeline_depth=15
set timeout=1 mail_check=600 imap_keepalive=600 imap_poll_timeout=15
set confirm_append=no confirm_create=no delete=yes move=no mark_old=no quit=yes wait_key=no beep=no sort=date
set sendmail="/bin/true" from="{user}@localhost" realname=Test copy=yes editor=true abort_unmodified=no autoedit=yes edit_headers=yes
set index_format="%4C %Z %s" date_format="%s" status_on_top=no help=no arrow_cursor=yes
ifdef imap_deflate "set imap_deflate=yes"
"""
with open(f"{work}/rc", "w") as f:
    f.write(rc)
os.chmod(f"{work}/rc", 0o600)
env = {**os.environ, "HOME": work, "TERM": "vt100", "LC_ALL": "C.UTF-8", "COLUMNS": "120", "LINES": "50"}
runs = 0


class Neomutt:
    def __init__(self, *args):
        global runs
        runs += 1
        self.debug = f"{work}/debug{runs}"
        self.screen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe("neomutt", ["neomutt", "-n", "-F", f"{work}/rc", "-d", "5", "-l", self.debug, *args], env)

    def read(self, seconds):
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                b = os.read(self.fd, 65536)
            except OSError:
                return False
            self.screen += re.sub(r"\x1b(\[[0-9;?]*[a-zA-Z]|[()][A-Z0-9]|[=>78])", "", b.decode("utf-8", "replace"))
            return bool(b)
        return True

    def sees(self, text, seconds=10):
        end = time.time() + seconds
        while text not in self.screen:
            assert time.time() < end and self.read(0.1), f"neomutt never showed {text!r}:\n{self.screen[-2000:]}\n{self.log()[-3000:]}"

    def keys(self, text):
        self.screen = ""
        os.write(self.fd, text.encode())

    def ends(self, seconds=20):
        end = time.time() + seconds
        while self.read(0.1):
            if time.time() > end:
                os.kill(self.pid, 9)
                assert False, f"neomutt did not end:\n{self.screen[-2000:]}\n{self.log()[-3000:]}"
        _, status = os.waitpid(self.pid, 0)
        log = self.log()
        assert status == 0, (status, self.screen[-2000:])
        for line in log.splitlines():  # what was answered NO or BAD, and what neomutt did not understand
            line = line.split("> ", 1)[-1] if "> " in line else line
            if re.search(r"^a\d+ (NO|BAD)|\* (BAD|BYE(?! Goodbye))|[Pp]rotocol error|[Uu]nexpected|[Mm]alformed|out of sync|[Cc]ouldn't parse|Error (parsing|reading)|unhandled|Fatal", line) \
                    and not re.search(r"TRYCREATE|ALREADYEXISTS|NONEXISTENT", line):
                raise AssertionError(f"run {runs}: {line}")
        return log

    def log(self):
        return "".join(open(p, errors="replace").read() for p in sorted(glob.glob(self.debug + "0")))


n = 0


def deliver(subject, body="text"):
    global n
    n += 1
    st, name = os.stat(maildir), f"{int(time.time())}.M{n}P{os.getpid()}.neomutt"
    with open(f"{maildir}/tmp/{name}", "w") as f:
        f.write(f"From: a@example.net\nTo: b@example.net\nSubject: {subject}\nMessage-ID: <{name}>\n"
                f"Date: Wed, 17 Jul 1996 02:44:{n:02} +0000\n\n{body}\n")
    os.chown(f"{maildir}/tmp/{name}", st.st_uid, st.st_gid)
    os.rename(f"{maildir}/tmp/{name}", f"{maildir}/new/{name}")
    return name


def find(name, folder=""):
    found = glob.glob(f"{maildir}/{folder}/*/{name}*")
    return found[0].rsplit(":2,", 1)[1] if found else None


for sub in "cur", "new", "tmp":
    if not os.path.isdir(f"{maildir}/{sub}"):
        os.makedirs(f"{maildir}/{sub}", 0o700)
read, flag, keep, save, drop = (deliver(s + "-me", "the needle") for s in ("read", "flag", "keep", "save", "drop"))

# A message is read, one flagged, one saved elsewhere, one deleted; search on the server.
m = Neomutt("-e", "push '<search>~s read-me<enter><display-message><exit>"
            "<tag-pattern>~s flag-me<enter><tag-prefix><flag-message><untag-pattern>.<enter>"
            "<tag-pattern>~s save-me<enter><tag-prefix><save-message>=Saved<enter><untag-pattern>.<enter>"
            "<delete-pattern>~s drop-me<enter><sync-mailbox><limit>=b needle<enter><quit>'")
log = m.ends()
for said in "ENABLE QRESYNC", 'SELECT "INBOX"', "CREATE", "EXPUNGE":
    assert said in log, f"{said} was not said:\n{log[-4000:]}"
assert re.search(r"UID (MOVE|COPY)", log), "nothing was copied"
assert len(re.search(r"\* SEARCH ([0-9 ]+)", log)[1].split()) == 3, "the search found something else"
assert find(read) == "S", find(read)
assert find(flag) == "F", find(flag)
assert find(save) is None and find(drop) is None, (find(save), find(drop))
assert len(glob.glob(f"{maildir}/.Saved/cur/*") + glob.glob(f"{maildir}/.Saved/new/*")) == 1
assert find(keep) == "", find(keep)

# Meanwhile another program deletes, flags, delivers; the cache is brought up to date by QRESYNC. Having
# heard of VANISHED (EARLIER), neomutt 2022 miscounts and fetches all flags again, from Dovecot too.
os.unlink(glob.glob(f"{maildir}/cur/{keep}*")[0])
path = glob.glob(f"{maildir}/cur/{read}*")[0]
os.rename(path, path.replace(":2,", ":2,F"))
deliver("while-away")
m = Neomutt()
m.sees("while-away")
assert "flag-me" in m.screen and "keep-me" not in m.screen, m.screen
assert re.search(r"!\s+read-me", m.screen), f"the flag did not arrive: {m.screen}"
# IDLE: it comes at once.
time.sleep(0.5)
began = time.time()
late = deliver("while-idle")
m.sees("while-idle", 5)
idle = time.time() - began
path = glob.glob(f"{maildir}/cur/{late}*")[0]
m.screen = ""
os.rename(path, path + "F")
m.sees("!", 5)
m.keys("q")
log = m.ends()
assert re.search(r"FETCH .*CHANGEDSINCE \d+ VANISHED", log) and "VANISHED (EARLIER)" in log, "QRESYNC was not used"

# Another time, with a flag and a message more: only these are fetched.
path = glob.glob(f"{maildir}/cur/{flag}*")[0]
os.rename(path, path + "S")
deliver("last-one")
m = Neomutt()
m.sees("last-one")
m.keys("q")
log = m.ends()
assert re.search(r"FETCH .*CHANGEDSINCE \d+ VANISHED", log) and "QRESYNC failed" not in log, "QRESYNC was not used"
assert len(re.findall(r"\* \d+ FETCH .*BODY\[HEADER", log)) <= 2, "other headers were fetched again"  # while-idle, last-one
assert len(re.findall(r"\* \d+ FETCH", log)) <= 4, "other flags were fetched again"

# A message is written, and a copy goes to Sent.
m = Neomutt("-s", "sent by neomutt", "b@example.net")
m.sees("Subject: sent by neomutt")
m.keys("y")
log = m.ends()
assert "APPEND" in log and "APPENDUID" in log, "nothing was appended"
sent = [p for p in glob.glob(f"{maildir}/.Sent/*/*") if "Subject: sent by neomutt" in open(p, errors="replace").read()]
assert len(sent) == 1 and sent[0].endswith(":2,S"), sent
print(f"IDLE took {idle:.2f} s\nall well")
