"""Machines on one computer: network namespaces, joined by wires that a test delays, cuts and resets.

A namespace lives as long as a process in it, which ends with the test, so nothing is left behind. A wire is
two TUN devices; this process carries the packets between them.
"""

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import selectors
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence

from system_under_test import SYSTEM

_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _TUN_WITHOUT_HEADER = 0x400454CA, 0x1001
_TCP, _RESET, _MOST = 6, 0x04, 65536


def lacking() -> str:
    """Why this system cannot do it; empty if it can."""
    if SYSTEM != "linux":
        return f"{SYSTEM}: there are no network namespaces"
    if os.getuid() != 0:
        return "network namespaces need root"
    missing = [name for name in ("ip", "nsenter", "setpriv", "unshare") if not shutil.which(name)]
    if missing:
        return f"the programs {', '.join(missing)} are not installed"
    try:
        with Namespace() as space, space.entered():
            os.close(_tun("orc-probe"))
    except (OSError, subprocess.CalledProcessError) as error:
        return f"the system allows no namespaces or TUN devices: {error}"
    return ""


class Namespace:
    """A network of its own."""

    def __enter__(self) -> "Namespace":
        self._holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"]
        )
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self._holder.pid}/ns/net") == own:
            if self._holder.poll() is not None:
                raise OSError("unshare has failed")
            time.sleep(0.005)
        self.run("ip", "link", "set", "lo", "up")
        return self

    def __exit__(self, *_error: object) -> None:
        self._holder.kill()
        self._holder.wait()

    def words(self, *words: str) -> list[str]:
        """A command line that runs in it."""
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", *words]

    def run(self, *words: str) -> None:
        subprocess.run(self.words(*words), check=True, capture_output=True)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in it until the block ends."""
        with open("/proc/thread-self/ns/net") as before:
            with open(f"/proc/{self._holder.pid}/ns/net") as there:
                _set_namespace(there.fileno())
            try:
                yield
            finally:
                _set_namespace(before.fileno())


def _set_namespace(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _tun(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _TUN_WITHOUT_HEADER))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class Wire:
    """The way between a machine and the hub.

    Attributes:
        delay: Seconds that a packet takes, in each direction.
        loss: The share of packets that are lost.
        carries_out: Whether packets of the machine reach the hub.
        carries_in: Whether packets of the hub reach the machine.
        resets: Whether each TCP connection is reset at its next packet.
    """

    def __init__(self, hub: Namespace, machine: Namespace, number: int) -> None:
        self.delay = self.loss = 0.0
        self.carries_out = self.carries_in = True
        self.resets = False
        self.hub_address = f"10.77.{number}.1"
        with machine.entered():
            self.machine_end = _tun("wire")
        with hub.entered():
            self.hub_end = _tun(f"wire{number}")
        for space, name, host in ((machine, "wire", 2), (hub, f"wire{number}", 1)):
            space.run("ip", "addr", "add", f"10.77.{number}.{host}/24", "dev", name)
            space.run("ip", "link", "set", name, "up")

    def cut(self) -> None:
        """Carry nothing any more."""
        self.carries_out = self.carries_in = False

    def mend(self) -> None:
        """Carry everything at once again."""
        self.carries_out = self.carries_in = True
        self.delay, self.loss, self.resets = 0.0, 0.0, False


class Carrier:
    """A thread that carries the packets of wires."""

    def __init__(self, wires: Sequence[Wire]) -> None:
        self._wires = wires
        self._random = random.Random(7)
        self._order = itertools.count()
        self._travelling: list[tuple[float, int, Wire, bool, bytes]] = []
        self._ends = False
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> "Carrier":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ends = True
        self._thread.join()
        for wire in self._wires:
            os.close(wire.machine_end)
            os.close(wire.hub_end)

    def _carry(self) -> None:
        with selectors.DefaultSelector() as selector:
            for wire in self._wires:
                selector.register(wire.machine_end, selectors.EVENT_READ, (wire, True))
                selector.register(wire.hub_end, selectors.EVENT_READ, (wire, False))
            while not self._ends:
                for key, _ in selector.select(self._patience()):
                    self._take(*key.data)
                while self._travelling and self._travelling[0][0] <= time.monotonic():
                    _, _, wire, goes_out, packet = heapq.heappop(self._travelling)
                    if wire.carries_out if goes_out else wire.carries_in:
                        _put(wire.hub_end if goes_out else wire.machine_end, packet)

    def _patience(self) -> float:
        if not self._travelling:
            return 0.05
        return min(max(self._travelling[0][0] - time.monotonic(), 0.0), 0.05)

    def _take(self, wire: Wire, goes_out: bool) -> None:
        try:
            packet = os.read(wire.machine_end if goes_out else wire.hub_end, _MOST)
        except BlockingIOError:
            return
        if wire.resets and (resets := _resets(packet)):
            back, forth = resets
            _put(wire.machine_end if goes_out else wire.hub_end, back)
            _put(wire.hub_end if goes_out else wire.machine_end, forth)
        elif self._random.random() >= wire.loss:
            due = time.monotonic() + wire.delay
            entry = (due, next(self._order), wire, goes_out, packet)
            heapq.heappush(self._travelling, entry)


def _put(descriptor: int, packet: bytes) -> None:
    with contextlib.suppress(OSError):  # the device is full, or goes away: the packet is lost
        os.write(descriptor, packet)


def _resets(packet: bytes) -> tuple[bytes, bytes] | None:
    """What resets the connection of a TCP packet for its sender and for its receiver."""
    if packet[0] >> 4 != 4 or packet[9] != _TCP:
        return None
    length = (packet[0] & 15) * 4
    source, target = packet[12:16], packet[16:20]
    here, there, number, confirmed, _, flags = struct.unpack_from("!HHIIBB", packet, length)
    if flags & _RESET:
        return None
    if flags & 0x02:  # it opens a connection, which is refused
        number += 1
        return _reset(target, source, there, here, confirmed, number), b""
    return (
        _reset(target, source, there, here, confirmed, None),
        _reset(source, target, here, there, number, None),
    )


def _reset(
    source: bytes, target: bytes, here: int, there: int, number: int, confirmed: int | None
) -> bytes:
    flags = _RESET | (0x10 if confirmed is not None else 0)
    words = (here, there, number, (confirmed or 0) & 0xFFFFFFFF, 5 << 4, flags, 0)
    tcp = struct.pack("!HHIIBBH", *words) + bytes(4)
    pseudo = source + target + struct.pack("!BBH", 0, _TCP, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", _checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, _TCP, 0) + source + target
    return ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:] + tcp


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
