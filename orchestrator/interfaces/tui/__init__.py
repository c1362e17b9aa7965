"""The terminal dashboard: what it shows is in ``view.py``, what it reads of the board in ``feed.py``.

``app.py`` shows it with Textual (extra ``tui``), ``line_mode.py`` as plain lines without it.
"""
