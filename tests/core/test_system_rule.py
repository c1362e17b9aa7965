"""Only ``orchestrator.core.system`` knows that operating systems differ."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "orchestrator"
SYSTEM = PACKAGE / "core" / "system"
MODULES = {
    "ctypes",
    "fcntl",
    "grp",
    "msvcrt",
    "platform",
    "psutil",
    "pwd",
    "resource",
    "termios",
    "winreg",
}
NAMES = {
    "os": {
        *(
            "O_BINARY",
            "O_CLOEXEC",
            "O_DIRECTORY",
            "O_NOFOLLOW",
            "O_NONBLOCK",
            "chown",
            "fchmod",
            "fdatasync",
        ),
        *(
            "fork",
            "forkpty",
            "fsync",
            "getgid",
            "geteuid",
            "getpgid",
            "getuid",
            "kill",
            "killpg",
            "lchown",
        ),
        *(
            "link",
            "mkfifo",
            "name",
            "open",
            "pread",
            "preadv",
            "pwrite",
            "pwritev",
            "register_at_fork",
        ),
        *("replace", "set_blocking", "setpgid", "setsid", "statvfs", "sync", "uname", "utime"),
        *("wait", "waitid", "waitpid"),
    },
    "signal": {
        "SIGALRM",
        "SIGBREAK",
        "SIGCHLD",
        "SIGHUP",
        "SIGKILL",
        "SIGPIPE",
        "SIGSTOP",
        "SIGTSTP",
    },
    "select": {"epoll", "kqueue", "poll", "select"},
    "sys": {"getwindowsversion", "platform"},
}
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if SYSTEM not in path.parents)


def uses(tree: ast.Module) -> Iterator[str]:
    """The names in a module that some systems lack, or that have another meaning there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.partition(".")[0] in MODULES:
                yield node.module
            known = NAMES.get(node.module, set())
            yield from (f"{node.module}.{a.name}" for a in node.names if a.name in known)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in NAMES.get(node.value.id, set()):
                yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value.startswith(("/proc", "/sys/", "/dev/", "/tmp", "/etc")):
                yield node.value
        elif isinstance(node, ast.Call):
            yield from _changed_line_ends(node)


def _changed_line_ends(call: ast.Call) -> Iterator[str]:
    """Whether a file is opened as text without ``newline``: Windows would change its line ends."""
    if isinstance(call.func, ast.Name) and call.func.id == "open" and call.args:
        given = {keyword.arg for keyword in call.keywords}
        mode = next((k.value for k in call.keywords if k.arg == "mode"), None)
        mode = call.args[1] if len(call.args) > 1 else mode
        is_binary = isinstance(mode, ast.Constant) and "b" in str(mode.value)
        if not is_binary and "newline" not in given:
            yield "open() as text without newline="


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_differs_between_systems_is_used_in_one_package_only(path: Path):
    assert set(uses(ast.parse(path.read_text(encoding="utf-8")))) == set()


@pytest.mark.parametrize(
    "code",
    [
        "import fcntl",
        "from os import killpg",
        "import psutil as p",
        "x = os.O_NOFOLLOW",
        "signal.SIGKILL",
        "if sys.platform == 'win32': pass",
        "f'/proc/{pid}/stat'",
        "open(path, 'a', encoding='utf-8')",
        "open(path)",
    ],
)
def test_the_rule_finds_what_it_is_for(code: str):
    assert list(uses(ast.parse(code)))


def interface(path: Path) -> set[str]:
    """The public names that a module defines, imports with ``as`` to export them, or gets by ``import *``."""
    statements = [*ast.parse(path.read_text(encoding="utf-8")).body]
    names: set[str] = set()
    for statement in statements:
        if isinstance(statement, ast.If):
            statements += (*statement.body, *statement.orelse)
        elif isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            names.add(statement.name)
        elif isinstance(statement, ast.Assign):
            names |= {t.id for t in statement.targets if isinstance(t, ast.Name)}
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names.add(statement.target.id)
        elif isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
            names |= interface(SYSTEM / f"{str(statement.module).rpartition('.')[2]}.py")
        elif isinstance(statement, ast.ImportFrom):
            names |= {a.name for a in statement.names if a.asname == a.name}
    return {name for name in names if not name.startswith("_") and not name.endswith("Program")}


def test_every_system_has_the_same_names() -> None:
    assert interface(SYSTEM / "posix.py") == interface(SYSTEM / "windows.py")
    assert {"sync", "condition", "HAS_FLOCK"} <= interface(SYSTEM / "posix.py")
