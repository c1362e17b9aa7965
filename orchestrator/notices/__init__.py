"""``orc notify``: what a person wants to hear of, on a desktop, by a webhook, by mail, through a program."""
