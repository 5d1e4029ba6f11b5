"""An SMTP server for the tests: STARTTLS and AUTH required, mail written to DIR/mail, silence while DIR/hang exists.

Usage: smtp.py DIR PORT USER PASSWORD (DIR holds cert.pem and key.pem).
"""

import asyncio
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

folder, port, user, password = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
taken = 0


class Handler:
    async def handle_DATA(self, server, session, envelope):
        global taken
        while os.path.exists(os.path.join(folder, "hang")):
            await asyncio.sleep(0.1)
        taken += 1
        name = os.path.join(folder, "mail", f"{taken:06}")
        with open(name + ".part", "wb") as out:
            out.write(envelope.original_content)
        os.rename(name + ".part", name + ".eml")
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == user.encode() and data.password == password.encode()
    # `handled=False` makes the library send its own refusal; the default would send nothing at all.
    return AuthResult(success=good, handled=good)


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem"))

    def session():
        return SMTP(
            Handler(),
            hostname="localhost",
            tls_context=context,
            require_starttls=True,
            authenticator=authenticate,
            auth_required=True,
            auth_require_tls=True,
        )

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main())
