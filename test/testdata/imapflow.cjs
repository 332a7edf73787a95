// imapflow against smail: CONDSTORE, QRESYNC, COMPRESS and IDLE at once. The
// password comes on standard input; TRACE=1 prints what is said.
const { ImapFlow } = require("imapflow");
const fs = require("fs"), path = require("path"), assert = require("assert");

const [user, cert, port, maildir] = process.argv.slice(2);
const pass = fs.readFileSync(0, "utf8").trimEnd();
const complaints = [];
const sleep = ms => new Promise(done => setTimeout(done, ms));
process.on("unhandledRejection", err => { console.log("unhandled", err); process.exit(1); });
setTimeout(() => { console.log("took too long"); process.exit(1); }, 60000).unref();

function client(id, more) {
    const say = level => entry => {
        if (process.env.TRACE && entry.msg !== undefined) console.log(id, entry.src || level, entry.msg);
        if (level === "warn" || level === "error" || level === "fatal")
            complaints.push({ id, level, ...entry, err: entry.err && { ...entry.err, message: entry.err.message } });
    };
    const logger = {};
    for (const level of ["trace", "debug", "info", "warn", "error", "fatal"]) logger[level] = say(level);
    const c = new ImapFlow({
        host: "localhost", port: +port, secure: true, tls: { ca: fs.readFileSync(cert) }, auth: { user, pass }, id, logger,
        qresync: true, disableCompression: false, disableAutoIdle: true, clientInfo: { name: "test" }, ...more,
    });
    c.heard = [];
    for (const event of ["exists", "expunge", "flags"]) c.on(event, data => c.heard.push({ event, ...data }));
    c.on("error", err => complaints.push({ id, level: "event", message: err.message }));
    // hears waits for an event that looks so and returns it.
    c.hears = async (event, like) => {
        for (let i = 0; i < 1000; i++, await sleep(10)) {
            const at = c.heard.findIndex(h => h.event === event && Object.keys(like).every(k => String(h[k]) === String(like[k])));
            if (at >= 0) return c.heard.splice(at, 1)[0];
        }
        assert.fail(`${id} never heard of ${event} ${JSON.stringify(like)}, only ${JSON.stringify(c.heard, (_, v) => v instanceof Set ? [...v] : typeof v === "bigint" ? String(v) : v)}`);
    };
    return c;
}

// deliver puts a message into new/ as an MTA does.
let delivered = 0;
function deliver(text) {
    const owner = fs.statSync(maildir), name = `${Math.floor(Date.now() / 1000)}.M${++delivered}P${process.pid}.imapflow`;
    fs.writeFileSync(path.join(maildir, "tmp", name), text, { mode: 0o600 });
    fs.chownSync(path.join(maildir, "tmp", name), owner.uid, owner.gid);
    fs.renameSync(path.join(maildir, "tmp", name), path.join(maildir, "new", name));
    return name;
}

const flagsOf = async (c, uid) => [...(await c.fetchOne(String(uid), { flags: true }, { uid: true })).flags].sort().join(" ");
const text = `From: =?utf-8?q?J=C3=BCrgen?= <a@example.net>\r
To: b@example.net\r
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r
Date: Wed, 17 Jul 1996 02:44:25 -0700\r
Message-ID: <imapflow@test>\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=x\r
\r
--x\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: quoted-printable\r
\r
Gr=C3=BC=C3=9Fe\r
--x\r
Content-Type: application/octet-stream; name=bytes\r
Content-Disposition: attachment; filename=bytes\r
Content-Transfer-Encoding: base64\r
\r
AAECAw==\r
--x--\r
`;
const big = "Subject: big\r\n\r\n" + Array.from({ length: 20000 }, (_, i) => `line ${i} ${(i * 2654435761 % 4294967296).toString(36)}\r\n`).join("");

async function main() {
    const c = client("one"), other = client("two", { disableCompression: true });
    await c.connect();
    await other.connect();

    // Everything is on.
    for (const name of ["CONDSTORE", "QRESYNC", "UTF8=ACCEPT", "IMAP4REV2"]) assert(c.enabled.has(name), `${name} is not on: ${[...c.enabled]}`);
    assert(c._inflate && c._deflate, "COMPRESS is not on");
    assert(!other._inflate, "COMPRESS is on where it was not wanted");
    assert(c.capabilities.has("IDLE") && c.serverInfo.name, "no IDLE or no ID");

    // Folders.
    const names = { Sent: "\\Sent", Drafts: "\\Drafts", Trash: "\\Trash", Junk: "\\Junk", Archive: "\\Archive" };
    for (const name of Object.keys(names)) await c.mailboxCreate(name);
    assert.equal((await c.mailboxCreate(["Tëst & more", "Sub"])).created, true);
    assert.equal((await c.mailboxCreate(["Tëst & more", "Sub"])).created, false);
    assert(await c.mailboxSubscribe("Sent"));
    let list = await c.list({ statusQuery: { messages: true, unseen: true, highestModseq: true, size: true } });
    for (const f of list) assert(f.flags.has("\\Noselect") || f.flags.has("\\NonExistent") || f.status && !f.status.error && f.status.messages >= 0 && f.status.size >= 0,
        `no status of ${f.path}`);
    for (const [name, use] of Object.entries(names)) {
        const f = list.find(f => f.path === name);
        assert.equal(f.specialUse, use);
        assert.equal(f.specialUseSource, "extension");
    }
    assert(list.find(f => f.path === "Sent").subscribed);
    const sep = c.namespace.delimiter, sub = ["Tëst & more", "Sub"].join(sep);
    assert(list.find(f => f.path === sub), `no ${sub} in ${list.map(f => f.path)}`);
    await c.mailboxRename(sub, ["Tëst & more", "Süb"].join(sep));
    assert(await c.mailboxUnsubscribe("Sent"));
    await c.mailboxCreate("Imapflow");

    // INBOX, and what is appended to it.
    let inbox = await c.mailboxOpen("INBOX");
    assert(inbox.highestModseq && !inbox.noModseq && inbox.permanentFlags.has("\\*") && inbox.mailboxId, "INBOX lacks something");
    const had = inbox.exists;
    const a = await c.append("INBOX", text, ["\\Flagged", "$Label1"], new Date("1996-07-17T09:44:25Z"));
    assert(a.uid && a.uidValidity === inbox.uidValidity, "APPENDUID");
    assert.equal(c.mailbox.exists, had + 1);
    const b = await c.append("INBOX", Buffer.from(big));
    let m = await c.fetchOne(String(a.uid), { flags: true, envelope: true, bodyStructure: true, source: true, internalDate: true, size: true, threadId: true }, { uid: true });
    assert.equal(m.source.toString(), text);
    assert.equal(m.size, text.length);
    assert.equal(m.envelope.subject, "Grüße");
    assert.equal(m.envelope.from[0].name, "Jürgen");
    assert.equal(m.envelope.messageId, "<imapflow@test>");
    assert.equal(m.internalDate.toISOString(), "1996-07-17T09:44:25.000Z");
    assert.equal(m.bodyStructure.childNodes[1].dispositionParameters.filename, "bytes");
    assert(m.flags.has("\\Flagged") && m.flags.has("$Label1") && m.modseq && m.emailId, "FETCH lacks something");
    m = await c.fetchOne(String(b.uid), { source: true }, { uid: true });
    assert.equal(m.source.toString(), big);
    const part = await c.download(String(a.uid), "2", { uid: true, binary: true });
    const chunks = [];
    for await (const chunk of part.content) chunks.push(chunk);
    assert.deepEqual(Buffer.concat(chunks), Buffer.from([0, 1, 2, 3]));
    const all = await c.fetchAll("1:*", { uid: true, flags: true, envelope: true, bodyStructure: true, internalDate: true, headers: ["list-id"] });
    assert.equal(all.length, had + 2);

    // Flags, and those that others have changed in between.
    assert(await c.messageFlagsAdd(String(a.uid), ["\\Seen", "$Forwarded"], { uid: true }));
    assert(await c.messageFlagsRemove(String(a.uid), ["\\Flagged"], { uid: true }));
    assert.equal(await flagsOf(c, a.uid), "$Forwarded $Label1 \\Seen");
    let at = (await c.fetchOne(String(a.uid), { flags: true }, { uid: true })).modseq;
    await other.mailboxOpen("INBOX");
    assert(await other.messageFlagsAdd(String(a.uid), ["\\Answered"], { uid: true }));
    assert(await c.messageFlagsAdd(String(a.uid), ["\\Draft"], { uid: true, unchangedSince: at }));
    assert.equal(await flagsOf(c, a.uid), "$Forwarded $Label1 \\Answered \\Seen", "UNCHANGEDSINCE was passed over");
    at = (await c.fetchOne(String(a.uid), { flags: true }, { uid: true })).modseq;
    assert(await c.messageFlagsAdd(String(a.uid), ["\\Draft"], { uid: true, unchangedSince: at }));
    assert.equal(await flagsOf(c, a.uid), "$Forwarded $Label1 \\Answered \\Draft \\Seen");
    assert(await c.messageFlagsSet(String(a.uid), ["\\Flagged"], { uid: true, silent: true }));
    assert.equal(await flagsOf(c, a.uid), "\\Flagged");
    const changed = await c.fetchAll("1:*", { uid: true, flags: true }, { changedSince: at });
    assert.deepEqual(changed.map(m => m.uid), [a.uid]);

    // Searches.
    for (const [query, want] of [
        [{ subject: "grüße", flagged: true }, [a.uid]], [{ header: { "message-id": "<imapflow@test>" } }, [a.uid]],
        [{ or: [{ from: "Jürgen" }, { subject: "big" }], uid: `${a.uid}:*` }, [a.uid, b.uid]], [{ body: "line 19999" }, [b.uid]],
        [{ modseq: at + 1n }, [a.uid]], [{ not: { smaller: 100000 } }, [b.uid]], [{ subject: "nowhere to be found" }, []],
        [{ on: new Date("1996-07-17") }, [a.uid]], [{ emailId: all.find(m => m.uid === a.uid).emailId }, [a.uid]],
    ]) assert.deepEqual(await c.search(query, { uid: true }), want, JSON.stringify(query, (_, v) => String(v) === "[object Object]" ? v : String(v)));
    const es = await c.search({ uid: `${a.uid}:*` }, { uid: true, returnOptions: ["MIN", "MAX", "COUNT"] });
    assert.deepEqual([es.min, es.max, es.count], [a.uid, b.uid, 2]);

    // Copies, moves, deletions.
    const copied = await c.messageCopy([a.uid, b.uid].join(","), "Imapflow", { uid: true });
    assert.deepEqual([...copied.uidMap.keys()], [a.uid, b.uid]);
    const moved = await c.messageMove(String(b.uid), sub.replace("Sub", "Süb"), { uid: true });
    assert.equal(moved.uidMap.size, 1);
    assert.deepEqual({ ...(await c.hears("expunge", { uid: b.uid })) }, { event: "expunge", path: "INBOX", uid: b.uid, vanished: true, earlier: false });
    assert.equal(c.mailbox.exists, had + 1);
    let s = await c.status("Imapflow", { messages: true, uidNext: true, uidValidity: true, unseen: true, highestModseq: true, size: true, deleted: true });
    assert.deepEqual([s.messages, s.unseen, s.size, s.deleted], [2, 2, text.length + big.length, 0]);
    assert(s.highestModseq > 0n);
    assert(await c.messageDelete(String(a.uid), { uid: true }));
    await c.hears("expunge", { uid: a.uid });
    assert.equal((await c.search({ all: true }, { uid: true })).length, had);

    // IDLE hears of a delivery, of others' flags and of their deletions.
    c.heard.length = 0;
    let idle = c.idle();
    await sleep(200);
    const name = deliver("Subject: delivered\n\nwhile it waits\n");
    const came = await c.hears("exists", { path: "INBOX", count: had + 1, prevCount: had });
    await other.noop();
    const uid = (await other.search({ subject: "delivered" }, { uid: true })).pop();
    assert(await other.messageFlagsAdd(String(uid), ["\\Seen", "$Junk"], { uid: true }));
    const flags = await c.hears("flags", { uid });
    assert.deepEqual([...flags.flags].filter(f => f !== "\\Recent").sort(), ["$Junk", "\\Seen"]);
    assert(flags.modseq);
    assert(c.idling, "the IDLE ended by itself");
    // one by another program, which renames the file
    const [file] = fs.readdirSync(path.join(maildir, "cur")).filter(f => f.startsWith(name));
    fs.renameSync(path.join(maildir, "cur", file), path.join(maildir, "cur", file.replace("S", "FS")));
    assert((await c.hears("flags", { uid })).flags.has("\\Flagged"));
    assert(await other.messageDelete(String(uid), { uid: true }));
    const gone = await c.hears("expunge", { uid });
    assert(gone.vanished && !gone.earlier);
    assert.equal(c.mailbox.exists, had);
    await c.noop(); // ends the IDLE
    await idle;

    // What happened while nobody looked.
    const kept = await c.append("INBOX", text);
    const lost = await c.append("INBOX", text);
    inbox = { ...(await c.mailboxOpen("INBOX")) };
    await c.mailboxClose();
    await other.mailboxOpen("INBOX");
    await other.messageDelete(String(lost.uid), { uid: true });
    await other.messageFlagsAdd(String(kept.uid), ["$Later"], { uid: true });
    c.heard.length = 0;
    const again = await c.mailboxOpen("INBOX", { uidValidity: inbox.uidValidity, changedSince: inbox.highestModseq });
    assert(again.qresync && again.highestModseq > inbox.highestModseq, "QRESYNC did not happen");
    assert((await c.hears("flags", { uid: kept.uid })).flags.has("$Later"));
    assert((await c.hears("expunge", { uid: lost.uid })).earlier);
    assert.equal(again.exists, had + 1);
    const since = await c.fetchAll("1:*", { uid: true, flags: true }, { uid: true, changedSince: inbox.highestModseq });
    assert.deepEqual(since.map(m => m.uid), [kept.uid]);
    await c.messageDelete(String(kept.uid), { uid: true });

    // Quota, the rest of the folders, good-bye.
    const quota = await c.getQuota("INBOX");
    assert(quota && quota.path === "INBOX", "no quota");
    if (fs.existsSync(path.join(maildir, "maildirsize"))) assert(quota.storage.limit && quota.message.limit && quota.storage.usage !== undefined, JSON.stringify(quota));
    await c.mailboxOpen("Imapflow", { readOnly: true });
    assert(c.mailbox.readOnly);
    await c.mailboxClose();
    await c.mailboxDelete("Imapflow");
    await c.mailboxDelete(sub.replace("Sub", "Süb"));
    list = await c.list();
    assert(!list.find(f => f.path === "Imapflow") && !list.find(f => f.path === sub));
    const stats = c.stats();
    await c.logout();
    await other.logout();
    assert.deepEqual(complaints, []);
    console.log(process.env.TRACE ? stats : "", "all well");
}

main().catch(err => { console.log(err); console.log("complaints:", complaints); process.exit(1); });
