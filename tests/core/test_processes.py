"""Programs that are run: none is left running, even if their caller is interrupted."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.core import processes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_while_a_program_is_started_ends_it(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    class Popen(subprocess.Popen[bytes]):
        """Interrupts the caller when the program runs, before the caller knows its pid."""

        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)  # type: ignore[call-overload]
            started.append(self.pid)
            signal.raise_signal(number)

    started: list[int] = []
    monkeypatch.setattr(subprocess, "Popen", Popen)
    before = signal.signal(number, interrupt)
    try:
        with pytest.raises(Interrupted):
            processes.run(
                [sys.executable, "-c", "import time; time.sleep(600)"],
                folder=str(tmp_path),
                variables={},
                timeout=60,
            )
    finally:
        signal.signal(number, before)
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)


@pytest.mark.needs("proc")
def test_the_host_is_the_program_above_all_shells(tmp_path: Path):
    """A hook that a shell runs and a server that is started directly have one host: this process."""
    code = "from orchestrator.core import processes; print(processes.host_process())"
    direct = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}; true"
    nested = subprocess.run(
        ["sh", "-c", f"sh -c {shlex.quote(line)}; true"], capture_output=True, text=True
    )
    assert direct.stdout == nested.stdout
    assert direct.stdout.split()[0] == str(os.getpid())
    assert processes.host_runs(direct.stdout.strip(), time.time())
    assert not processes.host_runs("1 1 another-boot", time.time())
    assert not processes.host_runs("", time.time())
