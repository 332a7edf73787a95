// nodemailer against smail: over TLS with a pool, by STARTTLS with LOGIN, and
// what is refused. The password comes on standard input.
const fs = require("fs"), assert = require("assert"), nodemailer = require("nodemailer");
const [user, cert, submissions, submission] = process.argv.slice(2);
const pass = fs.readFileSync(0, "utf8").replace(/\n$/, "");
const tls = { ca: fs.readFileSync(cert) };
const from = `Alice Ä <${user}@localhost>`;

(async () => {
  const pool = nodemailer.createTransport({ host: "localhost", port: +submissions, secure: true, pool: true, maxConnections: 1, auth: { user, pass }, tls });
  await pool.verify();
  const info = await pool.sendMail({ from, to: "to@example.net", bcc: "hidden@example.net", subject: "node 1", text: ".\n.dot\n",
    dsn: { id: "x+y=z", return: "headers", notify: ["failure", "delay"], recipient: "to@example.net" } });
  assert.deepStrictEqual(info.rejected, []);
  assert.match(info.response, /^250 2\.0\.0 /);
  await pool.sendMail({ from, to: "jürgen@example.net", subject: "node 2", text: "x".repeat(300000) });
  await assert.rejects(pool.sendMail({ from: "mallory@example.net", envelope: { from: `${user}@localhost`, to: "to@example.net" }, subject: "spoofed", text: "x" }),
    (e) => e.responseCode === 550);
  await assert.rejects(pool.sendMail({ from: "mallory@example.net", to: "to@example.net", subject: "spoofed", text: "x" }), (e) => e.responseCode === 553);
  pool.close();
  const login = nodemailer.createTransport({ host: "localhost", port: +submission, requireTLS: true, authMethod: "LOGIN", auth: { user, pass }, tls });
  await login.sendMail({ from, to: "to@example.net", subject: "node 3", text: "x", attachments: [{ filename: "a.bin", content: Buffer.alloc(100000, 0xff) }] });
  login.close();
  const wrong = nodemailer.createTransport({ host: "localhost", port: +submissions, secure: true, auth: { user, pass: pass + "x" }, tls });
  await assert.rejects(wrong.verify(), (e) => e.responseCode === 535);
  wrong.close();
  console.log("all well");
})().catch((e) => { console.log(e); process.exit(1); });
