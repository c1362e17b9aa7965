"""``orc board merge``: the work of a board that went its own way becomes part of this board."""
