"""Everything that differs between operating systems; no other module checks the system.

A board keeps the same promises on Linux, macOS and Windows, as far as the system allows. The limits are in
``LIMITS``, in the report of ``doctor`` and in ``docs/systems.md``. ``posix.py`` is for Linux and macOS,
``windows.py`` for Windows. Both define the same interface, the names without ``_`` at the beginning:

============================== ======================================================================
Opening                        ``open_file``, ``open_folder``: never through a link, never waiting for a fifo,
                               never with line ends changed; ``OPEN_ALREADY``: how the paths of what
                               this process has open begin; ``wait_for_input``: reading such a pipe waits;
                               ``takes_at_once``: a write does not wait for the reader of a pipe
Reading and writing a part     ``read_part``, ``write_part``: without moving the position of the descriptor
Making durable                 ``sync``, ``sync_data``, ``sync_folder``; ``forget_cached``: read it from
                               the disk again
Names of files                 ``replace``, ``link``, ``touch``; ``path_key``: equal for two spellings of
                               one path; ``HAS_MODES``: files can be writable for their owner only
Locks                          ``HAS_FLOCK``, ``try_lock``, ``lock``, ``unlock``
Kinds of file systems          ``file_system_kind``
Processes                      ``identity`` and ``condition``: whether a process that left its name
                               still runs; ``parent``, ``words`` of its command line;
                               ``Program``: one in a group of its own, and what it prints;
                               ``processes_with``, ``kill_group``: what is left of one whose parent
                               was killed; ``adopt_orphans``, ``left_behind``: what is left of one
                               that has ended; ``go_on_as_child``: a parent that
                               ends all that a killed process has started; ``start_daemon``: one that
                               goes on after this process; ``VARIABLES``: what programs need beside
                               the usual variables;
                               ``run_at_terminal``: one that the user works with;
                               ``become``: go on as a program; ``after_fork``: called in forked ones;
                               ``shell_line``: words as a line of the shell
Desktops                       ``DESKTOP``: the scheme of apprise for it, or ``dbus``; ``session_bus``:
                               where it listens then; ``DESKTOP_NEEDS``: why there is none
Folders                        ``user_data_folder``: where programs keep what is this user's
Watching files                 ``FileAlarm``: waits until one changes; ``file_watches``: how many folders
                               may be watched
Signals                        ``INTERRUPTS``: those that ask a process to end; ``interrupt``: send one
                               to this process; ``ask_to_end``: to another
============================== ======================================================================

A process that waits for the log looks at its size whenever ``FileAlarm`` returns. Where the system reports no
changes, that is every 50 ms, so waiting works on every system.
"""

import sys

from orchestrator.core.system.background import start_daemon as start_daemon
from orchestrator.core.system.terminal import run_at_terminal as run_at_terminal

if sys.platform == "win32":
    from orchestrator.core.system.windows import *  # noqa: F403
else:
    from orchestrator.core.system.posix import *  # noqa: F403
