"""The only path to the disk: commits, crashes, processes, and random commands compared with a model."""
