"""Mail: messages between agents, mailboxes, queues and mailing lists."""

from orchestrator.core.events import declare_noun

declare_noun("message", f"{__name__}.events")
