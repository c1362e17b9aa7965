"""The mechanism: events, transactions, the store port, errors. Knows no noun."""
