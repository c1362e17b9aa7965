"""Cold records: what the snapshot need not hold, because the work that it belongs to has ended."""
