"""Real repositories for tests."""

import os
import subprocess
from pathlib import Path

IDENTITY = {
    "GIT_AUTHOR_NAME": "ann",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
}


class Repo:
    """A repository, and branches with files.

    Args:
        folder: Where it is made.
        files: The files of the first commit of ``main``.
    """

    def __init__(self, folder: Path, files: dict[str, str] | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "ann")
        self.git("config", "user.email", "ann@example.org")
        self.write({"README": "a project\n", **(files or {})})
        self.commit("the first")

    @property
    def common(self) -> str:
        return str(self.folder / ".git")

    def git(
        self,
        *words: str,
        stdin: str = "",
        check: bool = True,
        folder: str | Path | None = None,
    ) -> str:
        """What git prints, in the repository or in another folder."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | IDENTITY
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *words],
            cwd=folder or self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode == 0 or not check, (words, done.stderr)
        return done.stdout.rstrip("\n")

    def write(self, files: dict[str, str | None]) -> None:
        """Write files into the worktree; None removes one."""
        for name, text in files.items():
            path = self.folder / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)

    def commit(self, message: str) -> str:
        """Commit all that the worktree has."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-F", "-", stdin=message)
        return self.tip("HEAD")

    def commit_file(self, name: str, text: str = "x\n", folder: str | Path | None = None) -> str:
        """Commit one file, in the repository or in another folder, and return the commit."""
        Path(folder or self.folder, name).write_text(text)
        self.git("add", "--", name, folder=folder)
        self.git("commit", "-q", "-m", f"change {name}", folder=folder)
        return self.git("rev-parse", "HEAD", folder=folder)

    def hook(self, name: str, script: str) -> None:
        """Install a hook."""
        path = self.folder / ".git" / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def branch(self, name: str, *commits: dict[str, str | None], base: str = "main") -> str:
        """Make a branch with commits, each of some files, and go back; return its head."""
        here = self.git("rev-parse", "--abbrev-ref", "HEAD")
        self.git("checkout", "-q", "-b", name, base)
        for number, files in enumerate(commits, 1):
            self.write(files)
            self.commit(f"{name} {number}")
        head = self.tip("HEAD")
        self.git("checkout", "-q", here)
        return head

    def tip(self, name: str = "main") -> str:
        return self.git("rev-parse", name)

    def files(self, name: str = "main") -> dict[str, str]:
        """The files of a commit."""
        paths = self.git("ls-tree", "-r", "-z", "--name-only", name).split("\0")
        return {path: self.git("show", f"{name}:{path}") for path in paths if path}

    def main_line(self, name: str = "main") -> list[str]:
        """The subjects of a branch's own line, the newest first."""
        return self.git("log", "--first-parent", "--format=%s", name).splitlines()
