// A receiver for Parley: it halts a request, asks its own systems for the
// person's phone number, and resumes the request with it.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const { PARLEY_URL, LISTEN, SIGNING_SECRET } = process.env;
if (!SIGNING_SECRET) {
  console.error("SIGNING_SECRET is missing: it is the signing_secret of the connection in Parley, whsec_…");
  process.exit(1);
}
const key = Buffer.from(SIGNING_SECRET.replace(/^whsec_/, ""), "base64");

function signed(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": given = "" } = headers;
  const want = Buffer.from("v1," + createHmac("sha256", key).update(`${id}.${at}.`).update(body).digest("base64"));
  const fresh = Math.abs(Date.now() / 1000 - Number(at)) < 300;
  return fresh && given.split(" ").some((s) => s.length === want.length && timingSafeEqual(Buffer.from(s), want));
}

// Works, for as long as that takes, and tells Parley.
async function resume(path, token) {
  for (let wait = 1000; ; wait *= 2) { // the first second is the work
    await sleep(wait);
    const answer = await fetch(PARLEY_URL + path, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ derived_identity: { phone_number: "+15555555555" } }),
    }).catch(() => ({ status: 503 }));
    if (answer.status < 429) return console.log("the resume was answered", answer.status);
  } // 429, 503 and no answer are worth another try
}

const [host, port] = LISTEN.split(":");
createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray());
  const good = signed(request.headers, body);
  const path = request.headers["reply-to"];
  const halt = good && Boolean(path) && JSON.parse(body).identity.phone_number === null;
  if (halt) resume(path, request.headers["reply-to-token"]);
  response.writeHead(good ? 200 : 401, { "content-type": "application/json" }).end(JSON.stringify({ halt }));
}).listen(Number(port), host);
