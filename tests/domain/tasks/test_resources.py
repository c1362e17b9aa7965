"""Resources: two patterns collide exactly when some name matches both."""

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator import BadName
from orchestrator.domain.tasks.resources import Need, collide, is_glob, parse

WORDS = ["".join(letters) for n in (1, 2, 3) for letters in itertools.product("ab", repeat=n)]
NAMES = [
    "/".join(parts)
    for n in (1, 2, 3, 4)
    for parts in itertools.product([w for w in WORDS if len(w) <= (3 if n < 3 else 1)], repeat=n)
]
"""Every name over a small alphabet, long enough to be a witness for any two of the patterns below."""

short_words = st.text(alphabet="ab*?", min_size=1, max_size=2)
parts = st.one_of(short_words, st.just("**"))
patterns = st.lists(parts, min_size=1, max_size=2).map("/".join)


def matches(pattern: str, name: str) -> bool:
    """The definition, by a regular expression that shares nothing with the code under test."""
    return re.fullmatch(regex(tuple(pattern.split("/"))), name) is not None


def regex(parts: tuple[str, ...]) -> str:
    """``**`` as a whole part is any number of parts, also none: a path is a list of ``/part``."""
    return "".join(
        "(?:[^/]+/)*"
        if part == "**"
        else "".join({"*": "[^/]*", "?": "[^/]"}.get(c, re.escape(c)) for c in part) + "/"
        for part in parts
    )


def witnesses(one: str, other: str) -> list[str]:
    first, second = regex(tuple(one.split("/"))), regex(tuple(other.split("/")))
    return [n for n in NAMES if re.fullmatch(first, n + "/") and re.fullmatch(second, n + "/")]


@given(one=patterns, other=patterns)
@example("a/**", "a")
@example("**", "a/b")
@example("**/b", "a/**")
@example("a*", "*b")
@example("?", "**")
@example("a?", "?b")
@example("a/*", "a")
def test_patterns_collide_exactly_when_some_name_matches_both(one: str, other: str):
    assert collide(one, other) == bool(witnesses(one, other))


@given(one=patterns, other=patterns)
def test_colliding_is_the_same_both_ways(one: str, other: str):
    assert collide(one, other) == collide(other, one)


@given(pattern=patterns)
def test_every_pattern_collides_with_itself(pattern: str):
    assert collide(pattern, pattern)


@given(name=st.sampled_from(NAMES), other=st.sampled_from(NAMES))
def test_plain_names_collide_only_when_they_are_equal(name: str, other: str):
    assert collide(name, other) == (name == other)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("src/auth/**", "src/auth/login.py", True),
        ("src/auth/**", "src/auth/a/b/c.py", True),
        ("src/auth/**", "src/authors.py", False),
        ("src/*.py", "src/a/b.py", False),
        ("**/*.py", "src/a/b.py", True),
        ("src/**/test_*.py", "src/test_x.py", True),
        ("a**b", "a/b", False),
        ("a**b", "axxb", True),
        ("Git", "git", False),
    ],
)
def test_examples(one: str, other: str, expected: bool):
    assert collide(one, other) is expected


def test_long_patterns_are_compared_without_exploding():
    """Matching two patterns by backtracking would need more steps than there are atoms."""
    assert not collide("a*" * 90 + "b", "a*" * 90 + "c")
    assert collide("/".join(["**", "a"] * 40), "/".join(["a", "**"] * 40))


@pytest.mark.parametrize(
    ("text", "need"),
    [
        ("git", Need("git")),
        ("git:shared", Need("git", shared=True)),
        ("src/**:shared", Need("src/**", shared=True)),
        ("git:shared:shared", Need("git:shared", shared=True)),
        ("a b", Need("a b")),
        ("http://x:80/y", Need("http://x:80/y")),
    ],
)
def test_parse_tells_resource_and_sharing_apart(text: str, need: Need):
    assert parse(text) == need


@pytest.mark.parametrize(
    "text", ["", ":shared", "..", "a/..", "../a", "a\0", "a\n", "\u202ea", " a"]
)
def test_parse_refuses_what_no_resource_may_be_called(text: str):
    with pytest.raises(BadName):
        parse(text)


@pytest.mark.parametrize(("text", "expected"), [("a*", True), ("a?", True), ("a", False)])
def test_is_glob(text: str, expected: bool):
    assert is_glob(text) is expected
