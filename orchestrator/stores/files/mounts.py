"""Check the kind of a file system: locks and syncs are reliable only on local ones."""

from collections.abc import Callable

from orchestrator.core import system
from orchestrator.core.errors import Refused

_NETWORK = {
    "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs",
    "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs",
}  # fmt: skip


def check_local(folder: str, warn: Callable[[str], None]) -> None:
    """Refuse a folder on a network file system; warn where the kind is unknown.

    Raises:
        Refused: The folder is on a network file system.
    """
    kind = system.file_system_kind(folder)
    if kind in _NETWORK:
        raise Refused(
            f"{folder} is on a network file system ({kind}), where locks and syncs are not reliable",
            code="network_file_system",
            hint="Put the board on a local disk of one machine.",
            path=folder,
            kind=kind,
        )
    if kind == "9p" or kind.startswith("fuse."):
        warn(f"{folder} is on {kind}: if that is not a local disk, the log can be lost.")
