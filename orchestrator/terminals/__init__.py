"""Agents in windows of tmux (extra ``tmux``): ``tmux.py`` drives a server, ``commands.py`` is the noun."""
