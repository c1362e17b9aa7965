"""``orc report``: what was done, how the work flows, and when the rest will be done.

``report.py`` makes the figures from the board, ``records.py`` says what they are; ``forecast.py`` says when
all is done. ``markdown.py`` and ``page.py`` lay them out.
"""
