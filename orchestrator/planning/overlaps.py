"""Which globs overlap which resources, without comparing every pair."""

from collections.abc import Iterable, Iterator

from orchestrator.domain.tasks import resources

CHECKS = 20_000
"""Comparisons of path globs that one question may take. Beyond it the choice takes globs that might overlap
to overlap, so it stays sound and may be smaller than it could be; the serial groups leave them out."""


class Overlaps:
    """Finds the globs that overlap a resource, among all resources there are.

    Two patterns can have a name in common only if the parts before the first wildcard agree as far as both
    have them; so globs are kept by those parts, and a resource looks at its own ancestors. Of two globs the
    one with the longer stem finds the other; with equal stems both do.

    Attributes:
        exhausted: Whether :data:`CHECKS` comparisons were made, so that overlaps may be missing.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.exhausted = False
        self._left = CHECKS
        self._by_stem: dict[tuple[str, ...], list[str]] = {}
        for resource in names:
            if resources.is_glob(resource):
                self._by_stem.setdefault(_stem(resource), []).append(resource)

    @property
    def any(self) -> bool:
        """Whether there are globs at all."""
        return bool(self._by_stem)

    def of(self, resource: str) -> Iterator[str]:
        """The globs of another name, with the same stem or a shorter one, that overlap the resource."""
        for glob in self._possible(resource):
            if _is_whole_tree(glob):
                yield glob  # the resource stands below its stem
                continue
            self._left -= 1
            if self._left < 0:
                self.exhausted = True
                return
            if resources.collide(resource, glob):
                yield glob

    def may_concern(self, resource: str) -> bool:
        """Whether the resource is a glob, or one might overlap it."""
        return resources.is_glob(resource) or next(self._possible(resource), None) is not None

    def _possible(self, resource: str) -> Iterator[str]:
        stem = _stem(resource)
        for length in range(len(stem) + 1):
            for glob in self._by_stem.get(stem[:length], ()):
                if glob != resource:
                    yield glob


def _is_whole_tree(glob: str) -> bool:
    return glob.endswith("/**") and not resources.is_glob(glob[:-3])


def _stem(resource: str) -> tuple[str, ...]:
    parts = resource.split("/")
    for i, part in enumerate(parts):
        if resources.is_glob(part):
            return tuple(parts[:i])
    return tuple(parts)
