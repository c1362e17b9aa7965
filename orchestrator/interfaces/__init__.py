"""The ways in: they translate what comes in into calls of the API, and hold no rule."""
