"""`moor gateway`: a gateway in a process of its own."""

import errno
import logging
import os
import re
import socket

import click

from mooring.cli.invocation import Invocation, everywhere, pass_invocation
from mooring.errors import Conflict, Invalid, Unavailable

_FORMAT = "%(asctime)s %(levelname)s %(message)s"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,99}")
_RESERVED = "daemon"
_BACKLOG = 2048


@click.command()
@click.option(
    "--api",
    metavar="URL",
    help="The daemon's API: unix:///PATH, or https://HOST:PORT from elsewhere.  "
    "[env: MOORING_API; default: the socket of the data directory]",
)
@click.option(
    "--api-token-file", metavar="FILE", help="The API's token.  [env: MOORING_API_TOKEN_FILE]"
)
@click.option(
    "--api-ca-file",
    metavar="FILE",
    help="The authority of the API's certificate.  [env: MOORING_API_CA_FILE]",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where MCP clients connect.  [env: MOORING_LISTEN; default: 127.0.0.1:8470]",
)
@click.option(
    "--session-store",
    metavar="WHERE",
    help="Where records of sessions are kept: sqlite, memory, or redis://HOST:PORT/DB.  "
    "[env: MOORING_SESSION_STORE; default: sqlite]",
)
@click.option(
    "--session-key",
    metavar="FILE",
    help="Keys that seal sessions, the same for all who share them.  [env: MOORING_SESSION_KEY]",
)
@click.option(
    "--gateway-name",
    metavar="NAME",
    help="Its name among all gateways.  [env: MOORING_GATEWAY_NAME; default: host and port]",
)
@everywhere
@pass_invocation
def gateway(invocation: Invocation, /, **given: str | None) -> int:
    """Run one more gateway, beside the daemon's own or on another machine.

    \b
    Example:
      moor gateway --listen 127.0.0.1:8480
    """
    from mooring.programs import gateway as program
    from mooring.programs import places
    from mooring.programs.reaching import reach
    from mooring.programs.session_parts import session_parts
    from mooring.programs.settings import load

    settings = load({"data_dir": invocation.data_dir, **given}, os.environ)
    kept = places.of(settings.data_dir)
    places.prepare(kept)
    api = reach(
        settings.api or f"unix://{kept.api_socket}", settings.api_token_file, settings.api_ca_file
    )
    if not api.here and not settings.session_key:
        what = "--session-key: a gateway elsewhere needs the keys of the daemon's machine"
        raise Invalid("Invalid", f"{what}. Fix: copy its keys/sessions.key, mode 0600")
    host, port = settings.address
    with _listening(host, port) as listener:
        base = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        options = program.Options(
            name=_name(settings.gateway_name, listener.getsockname()[1]),
            reach=api,
            parts=session_parts(settings, kept, os.environ),
            ours=program.Ours(settings.allowed_hosts, settings.allowed_origins),
        )
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_FORMAT))
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel(logging.INFO)
        ready = f"Mooring gateway {options.name} serves {base}"
        program.run(options, listener, lambda: click.echo(ready, err=True))
    return 0


def _name(given: str, port: int) -> str:
    if not given:
        host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:80]
        return f"gateway-{host}-{port}"
    if not _NAME.fullmatch(given) or given == _RESERVED:
        what = f"--gateway-name {given!r}: expected a letter, then letters, digits, and . _ -"
        raise Invalid("Invalid", f"{what}; {_RESERVED!r} is taken")
    return given


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        where = f"cannot listen on {host} port {port}"
        if error.errno == errno.EADDRINUSE:
            what = f"{where}: another program does. Fix: choose another with --listen"
            raise Conflict("PortInUse", what) from None
        raise Unavailable("CannotStart", f"{where}: {error.strerror}") from None
