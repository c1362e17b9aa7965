"""Find overlapping resources without comparing every pair."""

from collections.abc import Iterable, Iterator

from orchestrator.core.multimap import multimap
from orchestrator.domain.tasks import resources

CHECKS = 20_000
"""Comparisons of path globs for one set of resources. Beyond it the choice takes globs that might overlap
to overlap, so it stays sound and may be smaller than it could be; the serial groups leave them out."""


class Overlaps:
    """The overlaps among a set of resources of which some are globs.

    Two patterns can have a name in common only if the parts before their first wildcard agree as far as both
    have them. So globs are kept by those parts (the stem), and each resource looks at its own ancestors. Of
    two globs the one with the longer stem finds the other; with equal stems both do.

    Attributes:
        exhausted: Whether :data:`CHECKS` comparisons were made, so that overlaps may be missing.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.exhausted = False
        self._left = CHECKS
        self._by_stem = multimap((_stem(name), name) for name in names if resources.is_glob(name))

    def of(self, resource: str) -> Iterator[str]:
        """Yield the other globs, with the same stem or a shorter one, that overlap the resource."""
        for glob in self._possible(resource):
            if glob.endswith("/**") and not resources.is_glob(glob[:-3]):
                yield glob  # a whole folder, and the resource is in it
                continue
            self._left -= 1
            if self._left < 0:
                self.exhausted = True
                return
            if resources.collide(resource, glob):
                yield glob

    def may_concern(self, resource: str) -> bool:
        """Return whether the resource is a glob, or a glob might overlap it."""
        return resources.is_glob(resource) or next(self._possible(resource), None) is not None

    def _possible(self, resource: str) -> Iterator[str]:
        stem = _stem(resource) if self._by_stem else ()
        for length in range(len(stem) + 1):
            for glob in self._by_stem.get(stem[:length], ()):
                if glob != resource:
                    yield glob


def _stem(resource: str) -> tuple[str, ...]:
    """Return the parts of a path before the first one with a wildcard."""
    parts = resource.split("/")
    wild = (number for number, part in enumerate(parts) if resources.is_glob(part))
    return tuple(parts[: next(wild, len(parts))])
