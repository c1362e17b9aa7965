"""Resources: two patterns collide exactly when some name matches both."""

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator import BadName
from orchestrator.domain.tasks import resources
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
    """The definition as a regular expression, independent of the tested code."""
    return re.fullmatch(regex(tuple(pattern.split("/"))), name) is not None


def regex(parts: tuple[str, ...]) -> str:
    """``**`` as a whole part is any number of parts, also none: a path is a list of ``/part``."""
    return "".join(
        "(?:[^/]+/)*"
        if part == "**"
        else "".join({"*": "[^/]*", "?": "[^/]"}.get(c, re.escape(c)) for c in part) + "/"
        for part in parts
    )


def witnesses(left: str, other: str) -> list[str]:
    first, second = regex(tuple(left.split("/"))), regex(tuple(other.split("/")))
    return [n for n in NAMES if re.fullmatch(first, n + "/") and re.fullmatch(second, n + "/")]


@given(left=patterns, other=patterns)
@example("a/**", "a")
@example("**", "a/b")
@example("**/b", "a/**")
@example("a*", "*b")
@example("?", "**")
@example("a?", "?b")
@example("a/*", "a")
def test_patterns_collide_exactly_when_some_name_matches_both(left: str, other: str):
    assert collide(left, other) == bool(witnesses(left, other))


@given(left=patterns, other=patterns)
def test_colliding_is_the_same_both_ways(left: str, other: str):
    assert collide(left, other) == collide(other, left)


@given(pattern=patterns)
def test_every_pattern_collides_with_itself(pattern: str):
    assert collide(pattern, pattern)


@given(name=st.sampled_from(NAMES), other=st.sampled_from(NAMES))
def test_plain_names_collide_only_when_they_are_equal(name: str, other: str):
    assert collide(name, other) == (name == other)


@pytest.mark.parametrize(
    ("left", "other", "expected"),
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
def test_examples(left: str, other: str, expected: bool):
    assert collide(left, other) is expected


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
def test_parse_splits_resource_and_sharing(text: str, need: Need):
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


ATOMS = {
    "a": "a",
    "b": "b",
    "*": "[^/]*",
    "?": "[^/]",
    "[ab]": r"(?:[ab]|\[ab\])",
    "[!a]": r"(?:[^a/]|\[!a\])",
    "[^bc]": r"(?:[^bc/]|\[\^bc\])",
    "[b-d]": r"(?:[b-d]|\[b-d\])",
    "{a,bc}": "(?:a|bc)",
    "{,b}": "b?",
    "{[ab],c}": r"(?:[ab]|\[ab\]|c)",
    "{ab}": r"\{ab\}",
}
"""What patterns are made of, each with a regular expression that defines it."""

LETTERS = ["a", "b", "c", "d", *(atom for atom in ATOMS if atom[0] == "[" or atom == "{ab}")]
POSSIBLE = ["".join(name) for n in range(5) for name in itertools.product(LETTERS, repeat=n)]

rich_patterns = st.lists(st.sampled_from(list(ATOMS)), min_size=1, max_size=3)


@given(left=rich_patterns, other=rich_patterns)
@example(["[ab]"], ["[!a]"])
@example(["[!a]"], ["[^bc]"])
@example(["{a,bc}"], ["?", "?"])
@example(["[ab]"], ["*", "b", "*"])
def test_braces_and_brackets_collide_exactly_when_some_name_matches_both(
    left: list[str], other: list[str]
):
    first, second = ("".join(ATOMS[atom] for atom in pattern) for pattern in (left, other))
    both = [n for n in POSSIBLE if re.fullmatch(first, n) and re.fullmatch(second, n)]
    assert collide("".join(left), "".join(other)) == (left == other or bool(both))


@pytest.mark.parametrize(
    ("left", "other", "expected"),
    [
        ("src/{a,b}.py", "src/b.py", True),
        ("src/{a,b}.py", "src/c.py", False),
        ("{src,lib/x}/a.py", "lib/**", True),
        ("{src,lib/x}/a.py", "lib/*", False),
        ("src/{./a,b}.py", "src/a.py", True),
        ("a{1,2{3,4}}", "a24", True),
        ("app/[id]/page.tsx", "app/[id]/page.tsx", True),
        ("app/[id]/page.tsx", "app/[slug]/page.tsx", False),
        ("app/[id]/*.tsx", "app/[id]/page.tsx", True),
        ("app/*id*/page.tsx", "app/[id]/page.tsx", True),
        ("app/[id]/page.tsx", "app/i/page.tsx", True),
        ("app/[[...slug]]/x", "app/[[...slug]]/*", True),
        ("app/[user-id].ts", "app/u.ts", False),  # a range that ends before it begins is none
        ("{a", "{b", False),
        ("{{cookie.slug}}/a", "{{cookie.slug}}/*", True),
    ],
)
def test_examples_of_braces_and_brackets(left: str, other: str, expected: bool):
    assert collide(left, other) is collide(other, left) is expected


def test_too_many_names_are_refused_at_the_door_and_plain_characters_in_an_old_board():
    many = "{a,b}" * 10
    with pytest.raises(BadName, match="too many names"):
        resources.given(many, None)
    assert not collide(many, "a" * 10)
    assert collide(many, many)
    with pytest.raises(BadName, match="cannot count") as caught:
        resources.given("src/{1..3}.py", None)
    assert "{1,2,3}" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("./src/a.py", "src/a.py"),
        ("src//a.py", "src/a.py"),
        ("src/./a.py", "src/a.py"),
        ("src/", "src"),
        ("src/.", "src"),
        ("./", "."),
        (".", "."),
        ("/", "/"),
        ("//x/", "/x"),
        ("./**/:shared", "**"),
        ("git", "git"),
        (".github/a", ".github/a"),
        ("a./b", "a./b"),
        ("http://x//y/", "http://x//y/"),
    ],
)
def test_every_spelling_of_a_path_is_one_name(text: str, name: str):
    assert parse(text).resource == name
