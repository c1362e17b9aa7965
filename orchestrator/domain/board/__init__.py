"""The board as a whole: repairs and upgrades on record."""
