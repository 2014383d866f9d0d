"""Starts PyKMIP's server from a configuration file: launch.py <server.conf> <server.log>

PyKMIP up to 0.10 calls ssl.wrap_socket, which Python 3.12 took away. What it means by that call is put in its place here; nothing of
PyKMIP itself is changed. The server ends, with its helpers, when its standard input does: a test that is killed leaves nothing behind.
`launch.py --check` only says whether everything can be imported.
"""

import os
import signal
import ssl
import sys
import threading


def wrap_socket(
    sock,
    keyfile=None,
    certfile=None,
    server_side=False,
    cert_reqs=ssl.CERT_NONE,
    ssl_version=ssl.PROTOCOL_TLS,
    ca_certs=None,
    do_handshake_on_connect=True,
    suppress_ragged_eofs=True,
    ciphers=None,
):
    context = ssl.SSLContext(ssl_version)
    context.check_hostname = False
    context.verify_mode = cert_reqs
    if ca_certs:
        context.load_verify_locations(ca_certs)
    if certfile:
        context.load_cert_chain(certfile, keyfile)
    if ciphers:
        context.set_ciphers(ciphers)
    return context.wrap_socket(
        sock,
        server_side=server_side,
        do_handshake_on_connect=do_handshake_on_connect,
        suppress_ragged_eofs=suppress_ragged_eofs,
    )


if not hasattr(ssl, "wrap_socket"):
    ssl.wrap_socket = wrap_socket

from kmip.services.server import server  # noqa: E402  (after the replacement above)


def end_with_standard_input():
    # Not through sys.stdin: its lock would be held in the helpers, too, which are forks of this process.
    while os.read(0, 1024):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(0)
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    sys.argv = ["pykmip-server", "-f", sys.argv[1], "-l", sys.argv[2]]
    server.main()
