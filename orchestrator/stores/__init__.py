"""Where events live: on disk (:mod:`.files`) and in memory (:mod:`.memory`). Holds no rule."""
