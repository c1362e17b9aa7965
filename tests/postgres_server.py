"""A private PostgreSQL server in a temporary folder, with a port of its own."""

import atexit
import contextlib
import ctypes
import functools
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg


def programs() -> Path | None:
    """The folder of the server's programs; None if it is not installed."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr/local/bin").glob("initdb")]
    newest = [folder for folder in sorted(found, key=_version) if (folder / "initdb").exists()]
    return newest[-1] if newest else None


def _version(folder: Path) -> float:
    try:
        return float(folder.parent.name)
    except ValueError:
        return 0


def _end_with_parent() -> None:
    """Let the system stop this process when its parent was killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


class Server:
    """A server that tests start, kill and start again.

    Args:
        folder: An empty folder for its data.
        settings: Such as ``fsync=off``.
        copy_of: A running server, of which it becomes a replica that follows it.

    Attributes:
        folder: Its data.
        port: Its port on the loopback address.
        user: The user of the system that it runs as; None for that of the tests.
    """

    def __init__(self, folder: Path, *settings: str, copy_of: "Server | None" = None) -> None:
        binaries = programs()
        assert binaries is not None
        self._binaries = binaries
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._settings = settings
        self._boards = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        # The server refuses to run as root.
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            shutil.chown(folder, self.user)
        if copy_of is not None:
            self._run(
                "pg_basebackup",
                "-R",
                "--checkpoint=fast",
                "--no-sync",
                f"--dbname={copy_of.url}",
                f"--pgdata={folder}",
            )
            return
        self._run(
            "initdb", "--no-sync", "--auth=trust", "--username=orc", "--encoding=UTF8", "--locale=C",
            f"--pgdata={folder}",
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"postgresql://orc@127.0.0.1:{self.port}/postgres"

    def new_database(self, name: str) -> str:
        """The URL of a new database."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url.removesuffix("postgres") + name

    def variables(self, database: str) -> dict[str, str]:
        """The variables of the environment that lead to this server, with a new database on it."""
        self.new_database(database)
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "orc"}

    def new_board(self) -> str:
        """The URL of a board that does not exist yet."""
        return f"{self.url}?board=board-{next(self._boards)}"

    def start(self) -> None:
        settings = [
            "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300",
            "shared_buffers=32MB", "autovacuum=off",
            "dynamic_shared_memory_type=mmap",  # in its folder, so a killed server leaves nothing behind
            *self._settings,
        ]  # fmt: skip
        words = [word for setting in settings for word in ("-c", setting)]
        log = (self.folder.parent / f"{self.folder.name}.log").open("ab")
        self._process = subprocess.Popen(
            [self._binaries / "postgres", "-D", self.folder, "-p", str(self.port), *words],
            stdout=log, stderr=log, user=self.user, start_new_session=True, preexec_fn=_end_with_parent,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, "the server did not start"
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """Kill it and all its processes, as a failing machine does."""
        assert self._process is not None
        processes = psutil.Process(self._process.pid).children()
        for process in (self._process, *processes):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        psutil.wait_procs(processes)
        self._process = None
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "postmaster.pid").unlink()

    def processes(self, kind: str) -> list[psutil.Process]:
        """Its processes of a kind, such as ``walreceiver``."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children()
        return [child for child in children if kind in " ".join(child.cmdline())]

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # at once: its data are not needed
            self._process.wait()

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [self._binaries / program, *words], user=self.user, check=True, capture_output=True
        )


@contextlib.contextmanager
def running(
    *settings: str, folder: str | None = None, copy_of: Server | None = None
) -> Iterator[Server]:
    """A new server that runs until the block ends; its data are in a new folder, which is in ``folder``."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-postgres-", dir=folder) as name:
        os.chmod(name, 0o755)
        data = Path(name, "data")
        data.mkdir(mode=0o700)
        server = Server(data, *settings, copy_of=copy_of)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@functools.cache
def shared() -> Server:
    """A server for all boards of this process that only test rules: it does not sync."""
    server = running("fsync=off", folder="/dev/shm" if Path("/dev/shm").is_dir() else None)
    atexit.register(server.__exit__, None, None, None)
    return server.__enter__()


def is_here() -> bool:
    """Whether a server can run here: it is installed, and as root there is a user for it."""
    if programs() is None:
        return False
    if os.getuid() != 0:
        return True
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam("postgres"))
    return False
