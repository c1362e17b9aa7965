"""The index: a disposable read model of the board in SQLite, which follows the log and never feeds back."""
