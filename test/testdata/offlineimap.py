# offlineimap against smail: 200 messages and two folders both ways, compressed,
# and then nothing. The password comes on standard input.
import glob, os, re, subprocess, sys, time

user, cert, port, maildir, work = sys.argv[1:]
password = sys.stdin.read().rstrip("\n")
local = f"{work}/mail"
os.makedirs(work, exist_ok=True)
with open(f"{work}/password", "w") as f:
    f.write(password + "\n")
os.chmod(f"{work}/password", 0o600)
with open(f"{work}/rc", "w") as f:
    f.write(f"""[general]
accounts = a
metadata = {work}/meta
maxsyncaccounts = 1

[Account a]
localrepository = local
remoterepository = remote
utf8foldernames = yes

[Repository local]
type = Maildir
localfolders = {local}
sync_deletes = yes

[Repository remote]
type = IMAP
remotehost = localhost
remoteport = {port}
remoteuser = {user}
remotepassfile = {work}/password
ssl = yes
sslcacertfile = {cert}
usecompression = yes
maxconnections = 3
expunge = yes
sync_deletes = yes
""")


def sync():
    r = subprocess.run(["offlineimap", "-c", f"{work}/rc", "-o", "-u", "basic", "-d", "imap", "-l", f"{work}/log"],
                       env={**os.environ, "HOME": work, "LC_ALL": "C.UTF-8"}, capture_output=True, text=True, timeout=120)
    said = r.stdout + r.stderr
    assert r.returncode == 0, said[-4000:]
    for line in said.splitlines():
        if re.search(r"^ ?(ERROR|WARNING)|Traceback|reader < b'\S+ (NO|BAD) |[Uu]nexpected|[Pp]rotocol error", line):
            raise AssertionError(line + "\n" + said[-4000:])
    return said


def place(folder, sub, name, text):
    path, owner = f"{maildir}/{folder}", os.stat(maildir)
    for d in path, *(f"{path}/{s}" for s in ("cur", "new", "tmp")):
        if not os.path.isdir(d):
            os.mkdir(d, 0o700)
            os.chown(d, owner.st_uid, owner.st_gid)
    with open(f"{path}/tmp/{name}", "w") as f:
        f.write(text)
    os.chown(f"{path}/tmp/{name}", owner.st_uid, owner.st_gid)
    os.rename(f"{path}/tmp/{name}", f"{path}/{sub}/{name}")


def files(top, folder=""):
    return glob.glob(f"{glob.escape(os.path.join(top, folder))}/cur/*") + glob.glob(f"{glob.escape(os.path.join(top, folder))}/new/*")


def one(paths, message):
    """The path of a message, by its Message-ID."""
    found = [p for p in paths if f"<{message}@offlineimap>" in open(p, errors="replace").read()]
    assert len(found) <= 1, found
    return found[0] if found else None


def flags(path):
    return path.rpartition(":2,")[2]


def message(n, head=""):
    return f"Subject: message {n}\nFrom: a@example.net\nMessage-ID: <{n}@offlineimap>\n{head}\n" + "text\n" * (n % 50 if isinstance(n, int) else 1)


had = len(files(maildir))
for n in range(200):
    place("", "cur", f"{1700000000 + n}.M{n}P1.test:2,{['', 'S', 'FS', 'RS'][n % 4]}", message(n))
place("", "new", "1700000900.M1P1.test", message("fresh"))
place(".Arch&AOk-", "cur", "1700000901.M1P1.test:2,S", message("archived"))
place(".Work", "cur", "1700000902.M1P1.test:2,S", message("work"))
began = time.time()
said = sync()
assert "COMPRESS" in said or "Enabling compression" in said, "no compression"
first = time.time() - began
inbox = f"{local}/INBOX"
assert len(files(inbox)) == had + 201, (len(files(inbox)), had)
for n in 0, 1, 2, 3, 198:
    assert flags(one(files(inbox), n)) == ["", "S", "FS", "RS"][n % 4], n
assert one(files(f"{local}/Arché"), "archived") and one(files(f"{local}/Work"), "work"), os.listdir(local)

# On both sides: flags, a deletion, a message; a folder made here.
def mark(paths, n, to):
    path = one(paths, n)
    os.rename(path, path.rpartition(":2,")[0] + ":2," + to)
mark(files(inbox), 10, "FRS")
mark(files(inbox), 11, "")
os.unlink(one(files(inbox), 12))
mark(files(maildir), 20, "FS")
os.unlink(one(files(maildir), 21))
place("", "new", "1700000903.M1P1.test", message("came"))
for folder, name in (f"{local}/Work", "written"), (f"{local}/Made here", "made"):
    for sub in "cur", "new", "tmp":
        os.makedirs(f"{folder}/{sub}", exist_ok=True)
    with open(f"{folder}/cur/1700000904.M1P1.local:2,FS", "w") as f:
        f.write(message(name))
sync()
sync()  # ends what the one before began
there = files(maildir)
assert len(there) == had + 200, (len(there), had)
assert flags(one(there, 10)) == "FRS" and flags(one(there, 11)) == "" and not one(there, 12)
assert flags(one(files(inbox), 20)) == "FS" and not one(files(inbox), 21) and one(files(inbox), "came")
assert len(files(inbox)) == had + 200, len(files(inbox))
assert flags(one(files(maildir, ".Work"), "written")) == "FS" and flags(one(files(maildir, ".Made here"), "made")) == "FS"

# And nothing.
state = sorted(files(maildir) + files(maildir, ".Work") + files(inbox))
said = sync()
assert sorted(files(maildir) + files(maildir, ".Work") + files(inbox)) == state, "the last sync changed something"
for line in said.splitlines():
    assert not re.search(r"Copy message|Deleting|Adding flag|Removing flag|Creating folder", line), line
    assert not re.search(r"> \w+ (UID STORE|UID COPY|APPEND|CREATE|EXPUNGE|UID FETCH .*BODY)", line), line
print(f"the first sync took {first:.1f} s\nall well")
