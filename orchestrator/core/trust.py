"""What may run on this machine: the digests of files that a person has trusted.

A file is known by its real path and its digest: a changed file, and a copy elsewhere, is not trusted.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping

import msgspec

from orchestrator.core.user_files import UserFile


class TrustedFiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file: digests by path."""

    files: dict[str, str] = {}


def digest_of(data: bytes) -> str:
    """What stands for the content of a file."""
    return hashlib.sha256(data).hexdigest()


class Trust(UserFile[TrustedFiles]):
    """The trust of the user of this machine."""

    FILE = "trusted.json"
    CONTENT = TrustedFiles
    WHAT = "is trusted"
    COMMAND = "trust"
    DAMAGED = "bad_trust_file"

    def is_trusted(self, path: str, digest: str) -> bool:
        """Whether a file may run with this content."""
        return self.read().files.get(os.path.realpath(path)) == digest

    def state_of(self, path: str, digest: str) -> str:
        """``trusted``, ``changed`` since it was trusted, or ``new``."""
        known = self.read().files.get(os.path.realpath(path))
        return "new" if known is None else "trusted" if known == digest else "changed"

    def add(self, digests: Mapping[str, str]) -> None:
        """Trust files with their present content.

        Args:
            digests: The digests that the person has seen, by path.

        Raises:
            Refused: An agent that an event started asks for it.
        """
        new = {os.path.realpath(path): digest for path, digest in digests.items()}
        self.change(lambda trusted: TrustedFiles({**trusted.files, **new}))

    def remove(self, paths: Iterable[str]) -> None:
        """Trust files no more."""
        gone = {os.path.realpath(path) for path in paths}
        self.change(
            lambda trusted: TrustedFiles(
                {path: digest for path, digest in trusted.files.items() if path not in gone}
            )
        )
