"""Run the program git in a folder: without a shell, without questions, with one kind of error.

Callers put text of users behind ``--end-of-options`` or ``--``, and name branches by their whole ref
(``refs/heads/NAME``), so that no name is read as an option or as another revision.

>>> git = Git("/home/ann/project")
>>> git.text("rev-parse", "--verify", "--end-of-options", "refs/heads/main")
'0d24dc5...'
>>> git.parts("diff", "--name-only", "-z", "main...topic")
['src/a.py', 'src/b.py']
"""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import IO

import msgspec

from orchestrator.core import processes, system
from orchestrator.core.errors import InputOutputError, NotFound, Refused, TimedOut
from orchestrator.core.printable import escape, one_line

OLDEST = (2, 39)
"""The oldest version of git that works."""

SECONDS = 120.0
"""How long a command may take, unless the caller wants more."""

MOST = 64 * 1024 * 1024
"""How many bytes a command may print."""

HEADS = "refs/heads/"
"""Where the refs of branches are."""

_USAGE = 129
"""The exit status of git when it does not know a command or an option."""

_INSTALL = f"Install git {OLDEST[0]}.{OLDEST[1]} or later."
_TAIL = 4096
_PATIENCE = 5.0
"""Seconds that git gets to remove its lock files when it must end."""

_OWN = (
    *("XDG_CONFIG_HOME", "EMAIL", "SSH_AUTH_SOCK", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_EXEC_PATH"),
    *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"),
    *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_COUNT"),
    *("GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM"),
    *("http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"),
)
"""Variables of git and its transports that are passed on, beside those for every program.

Those that name a repository, an index or a commit (``GIT_DIR``, ``GIT_INDEX_FILE``) are not: inside a hook
they belong to the command that runs the hook.
"""

_OWN_SETTINGS = ("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_")
_SETTINGS = ("core.fsmonitor=false", "log.showSignature=false")
"""Settings of every command; those of a caller come after them.

No program that a repository names says in place of the files what has changed, or is started to check
signatures that nobody wants to see.
"""

_FIXED = {
    "GIT_ASKPASS": "",
    "GIT_EDITOR": ":",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


class GitFailed(InputOutputError):
    """A command of git failed; ``command``, ``status`` and ``output`` are in its details."""

    code = "git_failed"
    retryable = False


class GitResult(msgspec.Struct, frozen=True):
    """What a command of git answered.

    Attributes:
        status: Its exit status, or the negative number of the signal that ended it.
        output: What it printed on stdout.
        errors: The end of what it printed on stderr.
    """

    status: int
    output: bytes
    errors: str

    @property
    def text(self) -> str:
        """The output without its last newline; bytes that are no UTF-8 are kept as surrogates."""
        return decoded(self.output.removesuffix(b"\n"))


def decoded(data: bytes) -> str:
    """The text of bytes that git printed, such as a path; :func:`os.fsencode` makes bytes of it again."""
    return data.decode("utf-8", "surrogateescape")


class Git:
    """The program git, in one folder.

    Args:
        folder: An absolute path: a worktree, or git's own folder.
        settings: Settings of git for these commands only: ``{"core.hooksPath": os.devnull}``.
        variables: More variables for its environment.
    """

    def __init__(
        self,
        folder: str,
        *,
        settings: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._settings = [
            *_SETTINGS,
            *(f"{name}={value}" for name, value in (settings or {}).items()),
        ]
        self._variables = dict(variables or {})

    def run(
        self,
        *words: str,
        stdin: bytes = b"",
        accepted: Sequence[int] | None = (0,),
        timeout: float = SECONDS,
    ) -> GitResult:
        """Run a command to its end.

        Args:
            words: The command and its arguments.
            stdin: What it reads.
            accepted: The exit statuses that are no error; None: all.
            timeout: Seconds after which it is ended.

        Raises:
            GitFailed: It failed, or printed too much.
            TimedOut: It took too long.
            NotFound: git is not installed, or the folder is not there.
            Refused: It failed, and git is too old.
        """
        ended = self._run(words, stdin, timeout)
        is_accepted = accepted is None or ended.status in accepted
        if not is_accepted or ended.status == _USAGE:
            self._check_version()
        if not is_accepted:
            raise _failed(words, ended.status, ended.errors or decoded(ended.output[-_TAIL:]))
        return ended

    def text(self, *words: str, stdin: bytes = b"", timeout: float = SECONDS) -> str:
        """What a command prints, without its last newline; errors as in :meth:`run`."""
        return self.run(*words, stdin=stdin, timeout=timeout).text

    def parts(self, *words: str, stdin: bytes = b"", timeout: float = SECONDS) -> list[str]:
        """What a command prints with ``-z``: texts that end with a NUL; errors as in :meth:`run`."""
        output = self.run(*words, stdin=stdin, timeout=timeout).output
        return decoded(output).removesuffix("\0").split("\0") if output else []

    def found(self, *words: str) -> str | None:
        """What a query prints; None if it answers with status 1 that there is nothing."""
        ended = self.run(*words, accepted=(0, 1))
        return None if ended.status else ended.text

    def holds(self, *words: str) -> bool:
        """Whether a question such as ``merge-base --is-ancestor`` is answered with yes."""
        return self.run(*words, accepted=(0, 1)).status == 0

    def commit(self, revision: str) -> str | None:
        """The id of the commit that a revision names; None if there is none.

        Args:
            revision: A ref such as ``refs/heads/main``, or the id of a commit.
        """
        return self.found(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        )

    def _run(self, words: Sequence[str], stdin: bytes, timeout: float) -> GitResult:
        settings = [word for setting in self._settings for word in ("-c", setting)]
        line = ["git", "--no-pager", *settings, *words]
        try:
            status, output, said = _run_to_end(
                line, self.folder, _environment() | self._variables, stdin, timeout
            )
        except FileNotFoundError:
            raise self._nothing_to_run() from None
        except OSError as error:
            raise GitFailed(f"git cannot be run: {error.strerror}") from None
        if len(output) > MOST:
            raise GitFailed(f"{_shown(words)} printed more than {MOST} bytes")
        if status is None:
            raise TimedOut(f"{_shown(words)} took longer than {timeout:g} s", code="git_timeout")
        return GitResult(status, output, said)

    def _check_version(self) -> None:
        """Refuse a git that is too old. It is called after a failure only, because it starts a process.

        Raises:
            Refused: It is.
        """
        text = self._run(("version",), b"", SECONDS).text
        numbers = re.search(r"(\d+)\.(\d+)", text)
        if numbers is not None and (int(numbers[1]), int(numbers[2])) < OLDEST:
            said = escape(one_line(text, 80))
            raise Refused(f"git is too old: {said}", code="old_git", hint=_INSTALL)

    def _nothing_to_run(self) -> NotFound:
        if not os.path.isdir(self.folder):
            return NotFound(f"There is no folder {self.folder!a}", code="folder_not_found")
        return NotFound("git is not installed", code="no_git", hint=_INSTALL)


def _run_to_end(
    line: Sequence[str], folder: str, variables: Mapping[str, str], stdin: bytes, timeout: float
) -> tuple[int | None, bytes, str]:
    """The exit status of a program (None at the timeout), its output and the end of its errors.

    It is ended as soon as its output is larger than allowed.
    """
    output, errors = bytearray(), bytearray()

    def keep(data: bytes) -> None:
        if len(output) <= MOST:
            output.extend(data)

    def keep_errors(data: bytes) -> None:
        errors.extend(data)
        del errors[:-_TAIL]

    def check_size() -> None:
        if len(output) > MOST:
            raise _TooMuch

    status: int | None = None
    with _file_of(stdin) as file, suppress(_TooMuch):
        status = processes.to_the_end(
            lambda: system.Program(line, folder, variables, keep, keep_errors, stdin=file),
            timeout,
            check_size,
            patience=_PATIENCE,
        )
    return status, bytes(output), errors.decode("utf-8", "replace")


class _TooMuch(Exception):
    """A program has printed more than is kept."""


def _environment() -> dict[str, str]:
    variables = processes.passed_on(os.environ)
    for name, value in os.environ.items():
        if name in _OWN or name.startswith(_OWN_SETTINGS):
            variables[name] = value
    return variables | _FIXED


def _file_of(data: bytes) -> AbstractContextManager[IO[bytes] | None]:
    """An open file of these bytes, which is gone when it is closed; None if there are none."""
    if not data:
        return nullcontext()
    import tempfile  # few commands read anything

    file = tempfile.TemporaryFile()  # noqa: SIM115 -- the caller closes it
    file.write(data)
    file.seek(0)
    return file


def _failed(words: Sequence[str], status: int, said: str) -> GitFailed:
    lines = [line for line in said.splitlines() if line.strip()]
    marked = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    why = re.sub("^(fatal|error): ", "", (marked or lines or [f"exit status {status}"])[0])
    return GitFailed(
        f"{_shown(words)} failed: {escape(one_line(why, 300))}",
        hint="The output of git says more: `--json` prints it whole." if len(lines) > 1 else "",
        command=["git", *words],
        status=status,
        output=said,
    )


def _shown(words: Sequence[str]) -> str:
    """A command for a message, on one line."""
    return f"`{escape(one_line(shlex.join(['git', *words]), 120))}`"
