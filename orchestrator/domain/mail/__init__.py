"""Mail: messages between agents, mailboxes, queues and mailing lists."""
