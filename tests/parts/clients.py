"""What the vendors' own libraries make of our messages, our signatures, and the stand-ins that we test against.

    clients.py blocks                       Block Kit on stdin: slack_sdk's models check its limits
    clients.py sign SECRET BODY             Slack's headers for this body, one a line, as slack_sdk signs
    clients.py pagerduty SECRET BODY        PagerDuty's header for this body, as its documentation has it
    clients.py talk APP_URL TOKEN           a slack_sdk WebClient posts and updates a message
    clients.py post URL SECRET BODY         a Standard Webhooks message, as the standardwebhooks library signs
    clients.py receive PORT SECRET COUNT    a receiver that verifies with that library: a line a message
"""

import datetime
import hashlib
import hmac
import http.server
import json
import sys
import time
import urllib.request


def blocks():
    from slack_sdk.models.blocks import Block

    parsed = Block.parse_all(json.load(sys.stdin))
    assert parsed and all(block is not None for block in parsed), parsed
    for block in parsed:
        block.validate_json()
    print(len(parsed))


def sign(secret, body):
    from slack_sdk.signature import SignatureVerifier

    now = str(int(time.time()))
    print(f"X-Slack-Request-Timestamp: {now}")
    print("X-Slack-Signature: " + SignatureVerifier(secret).generate_signature(timestamp=now, body=body))


def pagerduty(secret, body):
    digest = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    print(f"X-PagerDuty-Signature: v1={digest}")


def talk(url, token):
    from slack_sdk import WebClient

    client = WebClient(token=token, base_url=url)
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "hello"}}
    posted = client.chat_postMessage(channel="#oncall", text="hello", blocks=[block])
    client.chat_update(channel=posted["channel"], ts=posted["ts"], text="hello again", blocks=[block])
    print(posted["ts"])


def post(url, secret, body):
    from standardwebhooks import Webhook

    now = datetime.datetime.now(tz=datetime.timezone.utc)
    headers = {
        "content-type": "application/json",
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", now, body),
    }
    request = urllib.request.Request(url, data=body.encode(), headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        print(answer.status)


def receive(port, secret, count):
    from standardwebhooks import Webhook, WebhookVerificationError

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            try:
                Webhook(secret).verify(body, dict(self.headers.items()))
                status, said = 200, "verified " + self.headers["webhook-id"]
            except WebhookVerificationError as error:
                status, said = 400, f"refused: {error}"
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()
            print(said, flush=True)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", port), Receiver)
    for _ in range(count):
        server.handle_request()


if __name__ == "__main__":
    what, rest = sys.argv[1], sys.argv[2:]
    if what == "receive":
        receive(int(rest[0]), rest[1], int(rest[2]))
    else:
        {"blocks": blocks, "sign": sign, "pagerduty": pagerduty, "talk": talk, "post": post}[what](*rest)
