"""Identify processes with ``psutil`` on systems without ``/proc``; it is imported only when needed."""


def identity(pid: int | None = None) -> tuple[int, str]:
    """Empty: here a process is identified by its pid and its start before its identity was recorded."""
    return 0, ""


def processes_with(variable: str, value: str) -> list[int]:
    """The processes that were started with this value of a variable, as far as this user may see."""
    import psutil

    pids = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(variable) == value:
                pids.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return pids


def adopt_orphans() -> None:
    """Do nothing: orphans have no other parent here."""


def go_on_as_child() -> int:
    """Do nothing, and return 0: a keeper would not become the parent of orphans here."""
    return 0


left_behind = processes_with


def parent(pid: int) -> tuple[int, str]:
    """The parent of a process, and the name of the process; 0 if it is gone."""
    import psutil

    try:
        process = psutil.Process(pid)
        return process.ppid(), process.name()
    except psutil.Error:
        return 0, ""


def words(pid: int) -> list[str]:
    """The command line of a process; empty if it is not known."""
    import psutil

    try:
        return psutil.Process(pid).cmdline()
    except psutil.Error:
        return []


def condition(pid: int, started: int, boot: str, since: float) -> str:
    """``running``, ``stopped`` or ``gone``: a pid alone may be that of another process by now.

    Args:
        pid: The process that recorded its identity.
        started: Not used: start times are times of the day here.
        boot: Not used, for the same reason.
        since: When it recorded its identity, in seconds since 1970.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        if process.create_time() > since + 1:  # the system rounds times
            return "gone"
        status = process.status()
    except psutil.NoSuchProcess:
        return "gone"
    except psutil.AccessDenied:
        return "running"
    if status == psutil.STATUS_ZOMBIE:
        return "gone"
    return "stopped" if status == psutil.STATUS_STOPPED else "running"
