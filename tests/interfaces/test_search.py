"""``orc search`` on the command line."""

from .conftest import CommandLine
from .test_commands import added


def test_matches_are_lines_with_what_they_are_and_the_text_around_the_words(
    cli: CommandLine,
) -> None:
    task = added(cli, "Write the parser")
    cli("t", "note", task, "\x1b[31m slow parser", "--agent", "ann")
    head, text = cli("search", "slow").lines
    assert head.startswith(f"note 1 {task}: Write the parser by ann, ")
    assert text == "    \\x1b[31m slow parser"
    assert cli("search", "zyzzyva").out == "Nothing was found.\n"
    assert cli("search", "--in", "mail", "slow", status=2).err.startswith("Error: ")


def test_json_has_every_field_and_marks_that_fit(cli: CommandLine) -> None:
    task = added(cli, "Write the parser", "--description", "It reads lines")
    [match] = cli("search", "lines", "--json").json
    assert (match["kind"], match["key"], match["title"]) == ("task", task, "Write the parser")
    [[first, end]] = match["marks"]
    assert match["snippet"][first:end] == "lines"


def test_words_in_titles_are_marked_too(cli: CommandLine) -> None:
    added(cli, "Write the parser")
    added(cli, "\u6570\u636e\u5e93 is slow")
    for word in ("parser", "\u6570\u636e\u5e93"):
        [match] = cli("search", word, "--json").json
        [[first, end]] = match["title_marks"]
        assert match["title"][first:end] == word


def test_verbose_reports_on_stderr_what_was_searched(cli: CommandLine) -> None:
    added(cli, "Write the parser")
    answer = cli("search", "parser", "-v")
    size = "Note: Searched an index in memory (2 events; from 5000 on it is kept in a file), in "
    assert answer.err.startswith(size)
    assert answer.out == cli("search", "parser").out
    cli("index", "build")
    start = "Note: Searched state/index.db (2 events), in "
    assert cli("search", "parser", "-v").err.startswith(start)
