"""``orc report``: finished work, flow, and a forecast.

``report.py`` computes the figures of ``records.py`` from the board; ``forecast.py`` predicts the end.
``markdown.py`` and ``page.py`` are layouts.
"""
