"""Which processes run, where the system has no ``/proc``: by ``psutil``, imported only when needed."""


def identity() -> tuple[int, str]:
    """Nothing: a process is told by its pid and by having started before it left its name."""
    return 0, ""


def condition(pid: int, started: int, boot: str, since: float) -> str:
    """``running``, ``stopped`` or ``gone``: a pid alone may be that of another process by now.

    Args:
        pid: The process that left its name.
        started: Not used: start times are those of the calendar here.
        boot: Not used, for the same reason.
        since: When it left its name, in seconds since 1970.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        if process.create_time() > since + 1:  # the system rounds
            return "gone"
        status = process.status()
    except psutil.NoSuchProcess:
        return "gone"
    except psutil.AccessDenied:
        return "running"
    if status == psutil.STATUS_ZOMBIE:
        return "gone"
    return "stopped" if status == psutil.STATUS_STOPPED else "running"
