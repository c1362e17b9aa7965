"""Configuration files as people and other programs leave them, by the file that they stand for."""

BOM = b"\xef\xbb\xbf"

JSON: dict[str, bytes] = {
    "empty": b"",
    "blank": b"\n",
    "object": b"{}",
    "object and newline": b"{}\n",
    "object with a blank": b"{ }",
    "two lines": b"{\n}\n",
    "one line": b'{"model": "opus", "mcpServers": {"x": {"command": "y"}}}',
    "one line without blanks": b'{"a":1,"hooks":{}}',
    "tabs": b'{\n\t"theme": "dark",\n\t"mcpServers": {\n\t\t"x": {\n\t\t\t"command": "y"\n\t\t}\n\t}\n}\n',
    "four blanks": b'{\n    "theme": "dark"\n}\n',
    "crlf": b'{\r\n  "theme": "dark",\r\n  "hooks": {\r\n  }\r\n}\r\n',
    "bom": BOM + b'{\n  "theme": "dark"\n}\n',
    "no newline at the end": b'{\n  "theme": "dark"\n}',
    "comments": (
        b'// mine\n{\n  /* the theme */ "theme": "dark", // dark\n  // "old": 1\n'
        b'  "mcpServers": { // servers\n    "x": {"command": "y"} // note } ]\n  }\n  // last\n}\n// end\n'
    ),
    "trailing commas": b'{\n  "theme": "dark",\n  "mcpServers": {\n    "x": {"command": "y",},\n  },\n}\n',
    "hooks of another tool": (
        b'{\n  "hooks": {\n    "SessionStart": [\n      {"matcher": "startup", "hooks": ['
        b'{"type": "command", "command": "bd prime"}]}\n    ],\n    "Stop": []\n  }\n}\n'
    ),
    "unicode": '{\n  "name": "Zoë \\u00e9 \\ud83d\\ude00 🙂",\n  "path": "C:\\\\x"\n}\n'.encode(),
    "numbers": b'{"a": 1.50, "b": 1E5, "c": -0, "d": 123456789012345678901234567890}',
    "odd form": b'{"a"\n:\n1\n,"b":[\n]\n,  "c":{\n}}',
}

BAD_JSON: dict[str, bytes] = {
    "cut off": b'{\n  "mcpServers": {\n',
    "not an object": b"[1, 2]\n",
    "two documents": b"{} {}",
    "single quotes": b"{'a': 1}",
    "a name twice": b'{"hooks": {}, "hooks": {}}',
    "latin-1": b'{"a": "\xe9"}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "servers are a list": b'{"mcpServers": [], "mcp": [], "hooks": []}',
    "hooks are a text": b'{"mcpServers": 1, "mcp": 1, "hooks": "none"}',
    "deep": b'{"a": ' * 5000,
}

TOML: dict[str, bytes] = {
    "empty": b"",
    "comment": b"# mine\n",
    "keys": b'model = "o3"   # fast\n\n[features]\nhooks = true\n',
    "no newline at the end": b'model = "o3"',
    "blank lines at the end": b'model = "o3"\n\n\n',
    "crlf": b'model = "o3"\r\n\r\n[tui]\r\ntheme = "x"\r\n',
    "bom": BOM + b'model = "o3"\n',
    "tabs": b"[a]\n\tb = 1\n\t[a.c]\n\t\td = 2\n",
    "another server": (
        b'[mcp_servers.x]\ncommand = "y"\nargs = [\n  "a", # one\n]\n\n[mcp_servers.x.env]\nA = "1"\n'
    ),
    "texts of lines": b'a = """\n[mcp_servers.orc]\ncommand = "no"\n"""\n',
    "inline": b'profiles = { a = { model = "x" } }\n',
}

BAD_TOML: dict[str, bytes] = {
    "cut off": b"[mcp_servers\n",
    "a key twice": b"a = 1\na = 2\n",
    "latin-1": b'a = "\xe9"\n',
    "not a table": b"mcp_servers = 1\n",
    "inline table": b'mcp_servers = { x = { command = "y" } }\n',
}

MARKDOWN: dict[str, bytes] = {
    "empty": b"",
    "text": b"# Rules\n\nBe kind.\n",
    "no newline at the end": b"# Rules",
    "crlf": b"# Rules\r\n\r\nBe kind.\r\n",
    "bom": BOM + b"# Rules\n",
    "blank lines at the end": b"# Rules\n\n\n",
    "another tool's block": b"<!-- BEGIN BEADS -->\nx\n<!-- END BEADS -->\n",
    "no text": b"\x00\x01",
}
