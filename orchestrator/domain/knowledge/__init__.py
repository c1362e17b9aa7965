"""Knowledge: topics in markdown that agents share."""
