"""Everything that can be set about a Mooring, in one table.

A setting comes from the command line, else from its environment variable, else from its
default. This module is imported by every command, so it stays light.
"""

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from mooring.errors import Invalid

WORKERS = 64
"""Gateway processes that one daemon may have."""
YEAR = 365 * 86400
SESSIONS = 10_000_000


def _default_data_dir() -> str:
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return str(Path(base) / "mooring")


def _setting(variable: str, about: str, default: str, *, option: bool = True) -> Any:
    """`option`: it can also be given on the command line."""
    told = {"variable": variable, "about": about, "option": option}
    return field(default=default, metadata=told)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a daemon is started with; docs/reference/settings.md lists them."""

    data_dir: str = _setting(
        "MOORING_DATA",
        "Directory of everything that is kept: objects, keys, packages, logs. "
        "Default: `$XDG_DATA_HOME/mooring`, else `~/.local/share/mooring`.",
        "",
    )
    listen: str = _setting(
        "MOORING_LISTEN",
        "Address of the MCP endpoints, `HOST:PORT`; loopback only.",
        "127.0.0.1:8470",
    )
    api_listen: str = _setting(
        "MOORING_API_LISTEN",
        "Address of the API for kubectl, `HOST:PORT`; loopback only, unless its names are set; "
        "`off`: there is none.",
        "127.0.0.1:8471",
    )
    api_names: str = _setting(
        "MOORING_API_NAMES",
        "Names and addresses (separated by commas) under which others reach that API, for its "
        "certificate. With them it may listen beyond loopback: callers need its token.",
        "",
        option=False,
    )
    allowed_hosts: str = _setting(
        "MOORING_ALLOWED_HOSTS",
        "Further authorities (`HOST` or `HOST:PORT`, separated by commas) that a request's Host "
        "may name, beside those of the listening address.",
        "",
        option=False,
    )
    allowed_origins: str = _setting(
        "MOORING_ALLOWED_ORIGINS",
        "Origins (separated by commas) of web pages that may call the MCP endpoints.",
        "",
        option=False,
    )
    secrets_dir: str = _setting(
        "MOORING_SECRETS_DIR",
        "Directory of secrets in files, `NAME/KEY`, as Docker and Kubernetes mount them: the store "
        "`directory`. Default: there is none.",
        "",
    )
    secrets_env_prefix: str = _setting(
        "MOORING_SECRETS_ENV_PREFIX",
        "How variables begin that hold secrets, `PREFIXNAME_KEY`: the store `environment`.",
        "MOORING_SECRET_",
    )
    workers: str = _setting(
        "MOORING_WORKERS",
        "Gateway processes that share the MCP port, 1 to 64. With 1 the gateway is part of the "
        "daemon; more use more cores.",
        "1",
    )
    keeper_alone_seconds: str = _setting(
        "MOORING_KEEPER_ALONE_SECONDS",
        "Seconds after which the keeper ends its children and itself when no daemon came back.",
        "300",
        option=False,
    )
    session_store: str = _setting(
        "MOORING_SESSION_STORE",
        "Where records of sessions are kept, which outlive their server's half with them: "
        "`sqlite` (a file in the data directory), `memory` (gone with the daemon), or a Redis, "
        "shared by several machines: `redis://HOST:PORT/DB`, `rediss://…` (TLS), `unix:///PATH`, "
        "with `?prefix=NAME` (of all names in it) and `&ca=FILE` (certificates to trust).",
        "sqlite",
    )
    session_store_password_file: str = _setting(
        "MOORING_SESSION_STORE_PASSWORD_FILE",
        "File of the password of that Redis. It may also stand in the variable "
        "`MOORING_SESSION_STORE_PASSWORD`, or in the address, if that comes from its variable.",
        "",
        option=False,
    )
    session_key: str = _setting(
        "MOORING_SESSION_KEY",
        "File of the keys that seal sessions; gateways that share sessions have the same keys. "
        "Default: `keys/sessions.key` in the data directory.",
        "",
    )
    session_idle_seconds: str = _setting(
        "MOORING_SESSION_IDLE_SECONDS",
        "Seconds after which a session ends that nobody used.",
        "1800",
        option=False,
    )
    session_lifetime_seconds: str = _setting(
        "MOORING_SESSION_LIFETIME_SECONDS",
        "Seconds after which a session ends, used or not.",
        "86400",
        option=False,
    )
    session_limit: str = _setting(
        "MOORING_SESSION_LIMIT",
        "Sessions that one caller may have open in a gateway; all callers are one until "
        "authentication is configured.",
        "20000",
        option=False,
    )
    api: str = _setting(
        "MOORING_API",
        "`moor gateway` only: where the daemon's API is, `unix:///PATH` on its own machine, "
        "`https://HOST:PORT` from elsewhere. Default: the socket of the data directory.",
        "",
    )
    api_token_file: str = _setting(
        "MOORING_API_TOKEN_FILE",
        "`moor gateway` only: file of the token of that API, as `moor token` prints it.",
        "",
    )
    api_ca_file: str = _setting(
        "MOORING_API_CA_FILE",
        "`moor gateway` only: file of the authority that signed the API's certificate, as "
        "`moor token authority` prints it. Default: the authorities that the system trusts.",
        "",
    )
    gateway_name: str = _setting(
        "MOORING_GATEWAY_NAME",
        "`moor gateway` only: its name among all gateways. Default: host and port.",
        "",
    )

    @property
    def worker_count(self) -> int:
        """How many gateway processes."""
        return int(self.workers)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`; raises Invalid in words."""
        return _address("--listen", self.listen, "because nothing asks callers who they are")

    @property
    def api_address(self) -> tuple[str, int] | None:
        """Host and port of `api_listen`, None where it is off; raises Invalid in words."""
        if self.api_listen == "off":
            return None
        why = "because the API can start programs, unless MOORING_API_NAMES says under which "
        why += "names others reach it"
        return _address("--api-listen", self.api_listen, why, anywhere=bool(self.api_names))


def _address(option: str, text: str, why: str, *, anywhere: bool = False) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise Invalid("Invalid", f"{option} {text!r}: expected HOST:PORT")
    if not anywhere and host not in ("127.0.0.1", "::1", "localhost"):
        raise Invalid(
            "Invalid",
            f"{option} {text!r}: only loopback addresses are served, {why}. "
            "Fix: use 127.0.0.1, ::1 or localhost",
        )
    return ("127.0.0.1" if host == "localhost" else host), int(port)


def load(given: Mapping[str, str | None], environ: Mapping[str, str]) -> Settings:
    """The settings that hold: given ones first, then the environment, then defaults."""
    values: dict[str, str] = {}
    for item in fields(Settings):
        chosen = given.get(item.name) or environ.get(item.metadata["variable"])
        if chosen:
            values[item.name] = chosen
    values.setdefault("data_dir", _default_data_dir())
    settings = Settings(**values)
    if not settings.keeper_alone_seconds.isdigit():
        raise Invalid("Invalid", "MOORING_KEEPER_ALONE_SECONDS: expected a number of seconds")
    _number("--workers", settings.workers, WORKERS)
    _number("MOORING_SESSION_IDLE_SECONDS", settings.session_idle_seconds, YEAR)
    _number("MOORING_SESSION_LIFETIME_SECONDS", settings.session_lifetime_seconds, YEAR)
    _number("MOORING_SESSION_LIMIT", settings.session_limit, SESSIONS)
    if "@" in (given.get("session_store") or ""):
        what = "--session-store: a password on the command line can be read by others"
        fix = "Fix: put the address into MOORING_SESSION_STORE, or the password into a file"
        raise Invalid("Invalid", f"{what}. {fix}")
    return settings


def _number(name: str, text: str, most: int) -> None:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise Invalid("Invalid", f"{name} {text!r}: expected a number from 1 to {most}")


def reference() -> str:
    """The page that lists every setting, in Markdown."""
    rows = [
        f"| {_option(item)} | `{item.metadata['variable']}` "
        f"| {item.default and f'`{item.default}`'} | {item.metadata['about']} |"
        for item in fields(Settings)
    ]
    head = ["# Settings", "", "| option | variable | default | what it says |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def _option(item: Field[str]) -> str:
    return f"`--{item.name.replace('_', '-')}`" if item.metadata["option"] else ""
