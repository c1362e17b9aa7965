"""Live delivery: mail enters the session of its recipient when it is sent.

A push is a hint; the mailbox is the truth. ``ports`` declares two ports, and ``loop`` connects them: a
*trigger* says when to look at a mailbox, a *delivery* hands its messages to a session.

=========== ==========================================================================================
Triggers    ``triggers.Watch`` (the alarm of the store), ``triggers.Poll``
Deliveries  ``channel.Channel`` (notifications of an MCP server), ``terminal.Pane`` (a pane of tmux);
            ``orchestrator.interfaces.cli.injection.Injection`` (hooks: ``mail check --inject``)
=========== ==========================================================================================

All of them pass the contract suites in ``tests/delivery/``.
"""
