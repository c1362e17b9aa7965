"""The mechanism: events, transactions, the store port, errors. It knows no noun of the domain."""
