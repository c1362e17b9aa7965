"""Where placeholders stand in a shell script: which would not be one word, or would be run as code.

This is no shell parser: it follows quotes, substitutions, heredocs and the words of commands as far as needed
to find the places where a value cannot be passed safely. In doubt it calls a place unsafe. The safety of
values does not rest on it alone: the shell expands them from variables, and so does not parse them.
"""

import re

import msgspec

PLACEHOLDER = re.compile(r"\{\{\{([^{}]+)\}\}\}|\{\{([^{}]+)\}\}")

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
_BEFORE_A_COMMAND = {
    "!",
    "{",
    "}",
    "do",
    "done",
    "elif",
    "else",
    "esac",
    "fi",
    "if",
    "then",
    "until",
    "while",
}
_WRAPPERS = {
    "builtin",
    "command",
    "doas",
    "env",
    "exec",
    "nice",
    "nohup",
    "setsid",
    "stdbuf",
    "sudo",
}
_WRAPPERS |= {"busybox", "coproc", "time", "timeout", "xargs"}
"""Commands that run the command behind them."""

_EVALUATES = {
    "alias",
    "eval",
    "getopts",
    "let",
    "mapfile",
    "parallel",
    "read",
    "readarray",
    "source",
}
_EVALUATES |= {"ssh", "trap", "unset", "watch", ".", "[["}
"""Commands that evaluate their arguments as code, also as a subscript: ``unset 'a[$(id)]'``."""

_DECLARES = {"declare", "export", "local", "readonly", "typeset"}
"""Commands that do so with names; a value behind ``NAME=`` is none."""

_SHELL = re.compile(r"(ba|da|a|k|z)?sh|fish|su")
_INTERPRETER = re.compile(rf"{_SHELL.pattern}|python[\d.]*|perl|ruby|node|deno|php|lua")
_CODE_OPTION = re.compile(r"-[A-Za-z]*[ceErp]|--eval|--command|--print|eval")
_RUNS_ITS_ARGUMENT = {"-exec", "-execdir", "-ok", "-okdir"}
_PROGRAM_FIRST = {"awk", "gawk", "gsed", "mawk", "nawk", "sed"}
"""Commands whose first argument is a program."""


class Place(msgspec.Struct, frozen=True):
    """A placeholder in a script.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        line: The number of its line, from 1.
        path: What it names.
        raw: It is written with three braces.
        danger: Why its value would not be passed as one word; empty if it would.
        quoted: The kind of text around it: ``double``, ``single``, ``heredoc`` or empty.
    """

    start: int
    end: int
    line: int
    path: str
    raw: bool
    danger: str = ""
    quoted: str = ""


def placeholders(script: str) -> list[Place]:
    """The placeholders of a script, but for those in comments, which nothing fills."""
    return _Scanner(script).scan()


class _Scanner:
    """Reads a script once from its beginning."""

    def __init__(self, script: str) -> None:
        self._text = script
        self._end = len(script)
        self._places: list[Place] = []
        self._heredocs: list[str] = []
        self._begin_command()

    def _begin_command(self) -> None:
        self._words: list[str] = []
        self._word: str | None = None
        self._is_target = False

    def _end_word(self) -> None:
        word, self._word = self._word, None
        if word is None:
            return
        if self._is_target:
            self._is_target = False
        elif not self._words and (word in _BEFORE_A_COMMAND or _ASSIGNMENT.match(word)):
            pass  # the command is still to come
        else:
            self._words.append(word)

    def _add(self, text: str) -> None:
        self._word = (self._word or "") + text

    def scan(self) -> list[Place]:
        position = 0
        while position < self._end:
            position = self._step(position)
        return self._places

    def _step(self, i: int) -> int:
        """Read what begins at a position outside of quotes; return the position after it."""
        text = self._text
        c = text[i]
        if c == "{" and (match := PLACEHOLDER.match(text, i)):
            return self._place(match, self._danger())
        if c == "\\":
            return self._escaped(i)
        if c == "$" and (match := PLACEHOLDER.match(text, i + 1)):
            return self._place(match, "it follows a `$`")
        if c in "'\"`" or text.startswith(("$(", "${", "$'", '$"'), i):
            end = self._nested(i)
            self._add(text[i:end].strip("'\"") if c in "'\"" else text[i:end])
            return end
        if c == "#" and self._word is None:
            return self._find("\n", i)
        if c in "<>":
            return self._redirect(i)
        if text.startswith("((", i) and self._word is None and not self._words:
            return self._parentheses(i + 1, "it is in an arithmetic command")
        if c in "\n;&|()":
            return self._separator(i)
        if c in " \t\r":
            self._end_word()
        else:
            self._add(c)
        return i + 1

    def _separator(self, i: int) -> int:
        self._end_word()
        self._begin_command()
        if self._text[i] == "\n" and self._heredocs:
            return self._heredoc_lines(i + 1)
        return i + 1

    def _escaped(self, i: int) -> int:
        if match := PLACEHOLDER.match(self._text, i + 1):
            return self._place(match, "it follows a backslash")
        if self._text.startswith("\\\n", i):
            return i + 2
        self._add(self._text[i + 1 : i + 2])
        return i + 2

    def _redirect(self, i: int) -> int:
        self._end_word()
        text = self._text
        if text.startswith("(", i + 1):
            return self._parentheses(i + 1, "it is in a substitution")
        if text.startswith("<<", i) and not text.startswith("<<<", i):
            match = re.compile(r"<<-?[ \t]*((?:[^\s;&|<>()\\'\"]|\\.|'[^']*'|\"[^\"]*\")*)").match(
                text, i
            )
            assert match is not None
            word = match[1]
            for inner in PLACEHOLDER.finditer(text, match.start(1), match.end(1)):
                self._place(inner, "it is the end word of a heredoc", quoted="heredoc")
            self._heredocs.append(re.sub(r"[\\'\"]", "", word))
            return max(match.end(), i + 2)
        length = (
            3 if text.startswith("<<<", i) else 2 if text[i + 1 : i + 2] in (">", "&", "|") else 1
        )
        self._is_target = True
        return i + length

    def _heredoc_lines(self, i: int) -> int:
        for word in self._heredocs:
            while i < self._end:
                end = self._find("\n", i)
                line = self._text[i:end]
                for match in PLACEHOLDER.finditer(self._text, i, end):
                    self._place(match, "it is in a heredoc", quoted="heredoc")
                i = end + 1
                if line.lstrip("\t") == word:
                    break
        self._heredocs = []
        return i

    # Nested text: what is in it is unsafe

    def _nested(self, i: int) -> int:
        """Read quotes or a substitution that begin at a position; return the position after them."""
        text = self._text
        if text.startswith("$'", i):
            return self._until("'", i + 2, "it is inside quotes", "single")
        if text.startswith("$(", i):
            return self._parentheses(i + 1, "it is in a substitution")
        if text.startswith("${", i):
            return self._until("}", i + 2, "it is in a substitution", nests="'\"`")
        if text.startswith(('"', '$"'), i):
            begin = text.index('"', i) + 1
            return self._until('"', begin, "it is inside double quotes", "double", nests="`")
        if text[i] == "`":
            return self._until("`", i + 1, "it is in a substitution")
        return self._until("'", i + 1, "it is inside single quotes", "single", escapes=False)

    def _until(
        self,
        end: str,
        i: int,
        danger: str,
        quoted: str = "",
        *,
        nests: str = "",
        escapes: bool = True,
    ) -> int:
        """Read to a closing character; return the position after it.

        Args:
            end: The character.
            i: Where the text begins.
            danger: What makes a placeholder in it unsafe.
            quoted: The kind of quotes.
            nests: The quotes that begin nested text. If there are any, substitutions begin nested text, too.
            escapes: Whether a backslash escapes the next character.
        """
        text = self._text
        while i < self._end and text[i] != end:
            if match := PLACEHOLDER.match(text, i):
                i = self._place(match, danger, quoted=quoted)
            elif nests and (text[i] in nests or self._substitutes(i)):
                i = self._nested(i)
            else:
                i += self._length(i) if escapes else 1
        return i + 1

    def _parentheses(self, i: int, danger: str) -> int:
        """Read from an opening parenthesis to the one that closes it."""
        depth = 0
        text = self._text
        while i < self._end:
            c = text[i]
            if match := PLACEHOLDER.match(text, i):
                i = self._place(match, danger)
                continue
            if c in "'\"`" or self._substitutes(i):
                i = self._nested(i)
                continue
            depth += (c == "(") - (c == ")")
            i += self._length(i)
            if depth == 0:
                break
        return i

    def _substitutes(self, i: int) -> bool:
        """Whether a substitution begins at a position, and not a `$` before a placeholder."""
        return self._text.startswith(("$(", "${"), i) and not PLACEHOLDER.match(self._text, i + 1)

    def _length(self, i: int) -> int:
        """The characters to step over: two for one that is escaped, unless a placeholder begins there."""
        is_escape = self._text[i] == "\\" and not PLACEHOLDER.match(self._text, i + 1)
        return 2 if is_escape else 1

    # Words of a command

    def _danger(self) -> str:
        """Why a value would be code at the present place in a command; empty if it would not."""
        if self._is_target:
            return ""
        words = self._unwrapped()
        if not words:
            is_assigned = self._word is not None and _ASSIGNMENT.match(self._word)
            return "" if is_assigned else "it is the name of a command"
        head, *arguments = words
        head = head.rpartition("/")[2]
        last = arguments[-1] if arguments else ""
        has_name = self._word is not None and _ASSIGNMENT.match(self._word)
        options_only = all(word.startswith(("-", "+")) for word in arguments)
        is_code = (
            head in _EVALUATES
            or (head in _DECLARES and not (has_name and not any(w[:1] in "-+" for w in arguments)))
            or _awaits_code(words)
            or ((head in _PROGRAM_FIRST or _SHELL.fullmatch(head)) and options_only)
            or (head in ("printf", "test", "[") and last == "-v")
            or last in _RUNS_ITS_ARGUMENT
        )
        return f"`{head}` would run it as code" if is_code else ""

    def _unwrapped(self) -> list[str]:
        """The words of the command that runs: ``sudo -u ann rm -r`` is ``rm -r``."""
        words = self._words
        while words and words[0].rpartition("/")[2] in _WRAPPERS:
            words = words[1:]
            while words and (words[0][:1] in "-0123456789" or _ASSIGNMENT.match(words[0])):
                words = words[1:]
        return words

    def _place(self, match: re.Match[str], danger: str, *, quoted: str = "") -> int:
        raw, plain = match.groups()
        line = self._text.count("\n", 0, match.start()) + 1
        path = (raw or plain).strip()
        place = Place(match.start(), match.end(), line, path, raw is not None, danger, quoted)
        self._places.append(place)
        self._add("x")
        return match.end()

    def _find(self, text: str, i: int) -> int:
        end = self._text.find(text, i)
        return self._end if end < 0 else end


def _awaits_code(words: list[str]) -> bool:
    """Whether the next word of a command is code for an interpreter: ``find . -exec sh -c``."""
    for begin, word in enumerate(words, start=1):
        if _INTERPRETER.fullmatch(word.rpartition("/")[2]):
            rest = words[begin:]
            while rest and rest[-1][:1] in "-+" and not _CODE_OPTION.fullmatch(rest[-1]):
                del rest[-1]  # options behind the one for code
            if rest and _CODE_OPTION.fullmatch(rest[-1]):
                return True
    return False
