"""What kind of file system a folder is on: locks and syncs hold on local ones only."""

import os
from collections.abc import Callable

from orchestrator.core.errors import Refused

_NETWORK = {
    "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs",
    "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs",
}  # fmt: skip


def check_local(folder: str, warn: Callable[[str], None]) -> None:
    """Refuse a folder on a network file system; warn where the kind cannot be told.

    Raises:
        Refused: The folder is on a network file system.
    """
    kind = kind_of(folder)
    if kind in _NETWORK:
        raise Refused(
            f"{folder} is on a network file system ({kind}), where locks and syncs do not hold",
            code="network_file_system",
            hint="Put the board on a local disk of one machine.",
            path=folder,
            kind=kind,
        )
    if kind == "9p" or kind.startswith("fuse."):
        warn(f"{folder} is on {kind}: if that is not a local disk, the log can be lost.")


def kind_of(folder: str, table: str = "/proc/self/mountinfo") -> str:
    """The type of the file system, as Linux names it; empty where it cannot be told."""
    try:
        with open(table, "rb") as file:
            mounts = file.read()
    except OSError:
        return ""  # not Linux: there is no such table
    device = os.stat(folder).st_dev
    mine = b" %d:%d " % (os.major(device), os.minor(device))
    at = mounts.rfind(mine)
    if at >= 0:
        return _kind(mounts[at:].partition(b"\n")[0])
    return _by_path(os.path.realpath(folder), mounts)


def _by_path(folder: str, mounts: bytes) -> str:
    """Some file systems (btrfs) show files another device number than the mount: go by the path."""
    longest, kind = "", ""
    for line in mounts.splitlines():
        point = line.split(b" ", 5)[4].decode("utf-8", "surrogateescape")
        inside = folder == point or folder.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(longest):
            longest, kind = point, _kind(line)
    return kind


def _kind(line: bytes) -> str:
    return line.partition(b" - ")[2].partition(b" ")[0].decode("ascii", "replace")
