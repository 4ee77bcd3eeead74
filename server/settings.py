"""The settings of one process, read once from the environment and passed on from there.

Knows the names of the environment variables and which values make no sense. Opens no file, no
database and no socket, and keeps nothing: whoever needs the settings is handed them.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

LONGEST_SOCKET_PATH = 100
"""Bytes. Unix allows about 108 with the closing NUL; some systems fewer."""


@dataclass(frozen=True)
class Settings:
    """Where the data lives, what to listen on and which worker to ask.

    Raises ValueError, one sentence long, for a value that cannot work.
    """

    data_dir: Path
    database_url: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    worker_url: str | None = None
    """None: the local worker on `worker_socket`."""
    min_free_mib: int = 1024
    """MiB; with less room on the disk no new run is taken in. 0 never asks."""
    roots: str = ""
    """Folders, divided as in PATH, whose files pages and scripts may name on a server for others."""

    def __post_init__(self) -> None:
        if not self.database_url.startswith(("sqlite:", "sqlite+", "postgresql", "postgres:")):
            raise ValueError("database_url must begin with sqlite:/// or postgresql://")
        if not self.host:
            raise ValueError("host is empty: use 127.0.0.1 for this machine only")
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port must lie between 0 and 65535, not {self.port}")
        if self.min_free_mib < 0:
            raise ValueError(f"min_free_mib must be 0 or more MiB, not {self.min_free_mib}")
        if self.worker_url is not None and not self.worker_url.startswith(("http://", "https://")):
            raise ValueError(f"worker_url must begin with http:// or https://: {self.worker_url}")

    @classmethod
    def read(cls, environ: Mapping[str, str], **overrides: object) -> "Settings":
        """The settings of this environment; an override that is not None wins over a variable."""
        values: dict[str, object] = {
            name: environ[variable] for name, variable in VARIABLES.items() if environ.get(variable)
        }
        unknown = sorted(overrides.keys() - VARIABLES.keys())
        if unknown:
            raise ValueError(f"no such setting: {unknown[0]} (known: {', '.join(VARIABLES)})")
        values.update({name: value for name, value in overrides.items() if value is not None})
        data_dir = Path(str(values.get("data_dir", "./.dipole"))).expanduser().resolve()
        token, worker_url = values.get("token"), values.get("worker_url")
        return cls(
            data_dir=data_dir,
            database_url=str(values.get("database_url", f"sqlite:///{data_dir / 'dipole.db'}")),
            host=str(values.get("host", "127.0.0.1")),
            port=_read_port(values.get("port", 8000)),
            token=None if token is None else str(token),
            worker_url=None if worker_url is None else str(worker_url).rstrip("/"),
            min_free_mib=_read_mib(values.get("min_free_mib", 1024)),
            roots=str(values.get("roots", "")),
        )

    def environment(self) -> dict[str, str]:
        """The variables that make `read` return these settings in a child process."""
        values = {name: getattr(self, name) for name in VARIABLES}
        return {VARIABLES[name]: str(value) for name, value in values.items() if value is not None}

    @property
    def worker_socket(self) -> Path:
        """The local worker's unix socket, on a path short enough for the system to accept."""
        socket = self.data_dir / "worker.sock"
        if len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH:
            return socket
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"dipole-{os.getuid()}-{digest}.sock"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach `host`."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def may_be_named(self, path: Path) -> bool:
        """Whether who asks over HTTP may name this resolved path: any on a server for oneself.

        Where others come in, with a token or from another machine, those in the data directory
        and in `roots`.
        """
        if self.is_loopback and not self.token:
            return True
        roots = [Path(root).expanduser() for root in self.roots.split(os.pathsep) if root]
        return any(path.is_relative_to(root.resolve()) for root in (self.data_dir, *roots))

    def require_token_when_open(self) -> None:
        """Raise ValueError if others could reach this address without giving a token."""
        if not self.is_loopback and not self.token:
            raise ValueError(
                f"host {self.host} can be reached from outside: set DIPOLE_TOKEN, or use 127.0.0.1"
            )


VARIABLES = {
    "data_dir": "DIPOLE_DATA_DIR",
    "database_url": "DIPOLE_DATABASE_URL",
    "host": "DIPOLE_HOST",
    "port": "DIPOLE_PORT",
    "token": "DIPOLE_TOKEN",
    "worker_url": "DIPOLE_WORKER_URL",
    "min_free_mib": "DIPOLE_MIN_FREE_MIB",
    "roots": "DIPOLE_ROOTS",
}
"""Each setting's environment variable; an empty variable counts as unset."""


def _read_port(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise ValueError(f"port must be a number between 0 and 65535, not {value!r}") from None


def _read_mib(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise ValueError(f"min_free_mib must be a whole number of MiB, not {value!r}") from None
