"""A receiver for Parley: it halts a request, asks its own systems for the
person's phone number, and resumes the request with it."""
import base64, hashlib, hmac, json, os, sys, threading, time, urllib.error, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

if not os.environ.get("SIGNING_SECRET"):
    sys.exit("SIGNING_SECRET is missing: it is the signing_secret of the connection in Parley, whsec_…")
KEY = base64.b64decode(os.environ["SIGNING_SECRET"].removeprefix("whsec_"))

def signed(headers, body):
    at = headers.get("webhook-timestamp", "")
    text = f"{headers.get('webhook-id')}.{at}.".encode() + body
    want = b"v1," + base64.b64encode(hmac.digest(KEY, text, hashlib.sha256))
    given = headers.get("webhook-signature", "").encode().split()
    return at.isdigit() and abs(time.time() - int(at)) < 300 and any(hmac.compare_digest(want, s) for s in given)

def resume(path, token):
    """Works, for as long as that takes, and tells Parley."""
    body = json.dumps({"derived_identity": {"phone_number": "+15555555555"}}).encode()
    request = urllib.request.Request(os.environ["PARLEY_URL"] + path, body, {"Authorization": "Bearer " + token})
    for tries in range(20):
        time.sleep(2**tries)  # the first second is the work
        try:
            return print("the resume was answered", urllib.request.urlopen(request, timeout=30).status)
        except urllib.error.HTTPError as answer:
            if answer.code < 429:  # 429, 503 and no answer are worth another try
                return print("the resume was answered", answer.code, answer.read())
        except OSError as error:
            print("the resume was not answered:", error)

class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        good = signed(self.headers, body)
        path = good and json.loads(body)["identity"]["phone_number"] is None and self.headers["reply-to"]
        if path:
            threading.Thread(target=resume, args=(path, self.headers["reply-to-token"]), daemon=True).start()
        self.send_response(200 if good else 401)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"halt": bool(path)}).encode())

host, port = os.environ["LISTEN"].split(":")
ThreadingHTTPServer((host, int(port)), Receiver).serve_forever()
