"""``orc serve``: the board over HTTP, for people's programs and pages."""
