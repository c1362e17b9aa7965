"""The one path to disk: commits, crashes, processes, and random commands against a model."""
