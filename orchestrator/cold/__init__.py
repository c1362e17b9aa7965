"""Cold records: the records of ended work, which the snapshot need not contain."""
