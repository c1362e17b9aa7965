"""Datasette and sqlite-utils can open the index."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Orchestrator
from orchestrator.index.description import metadata, overview


@pytest.fixture
def index(board: Orchestrator) -> Path:
    """An index with a task, in a board of files."""
    board.workstreams.create("build")
    task = board.tasks.add("build", title="Write the parser <b>", labels=["api"])
    board.tasks.note(task.id, "It needs a grammar", agent="ann")
    board.index.build()
    return Path(board.folder or "") / "state" / "index.db"


def test_datasette_serves_every_table_and_view_with_its_description(index: Path):
    app = pytest.importorskip("datasette.app", reason="Datasette is not installed")
    named = metadata()
    site = app.Datasette([str(index)], metadata=json.loads(json.dumps(named)))

    async def pages() -> dict[str, Any]:
        await site.invoke_startup()
        matches = {}
        for relation in overview():
            answer = await site.client.get(f"/index/{relation.name}.json?_shape=objects")
            assert answer.status_code == 200, relation.name
            matches[relation.name] = answer.json()["rows"]
            page = await site.client.get(f"/index/{relation.name}")
            assert page.status_code == 200, relation.name
            assert relation.about.split(";")[0][:20].replace("`", "") in page.text.replace("`", "")
            assert "parser <b>" not in page.text
        searched = await site.client.get("/index/texts.json?_search=grammar&_shape=objects")
        matches["search"] = searched.json()["rows"]
        return matches

    rows = asyncio.run(pages())
    assert [row["title"] for row in rows["ready"]] == ["Write the parser <b>"]
    assert [row["kind"] for row in rows["search"]] == ["note"]
    assert rows["labels"][0]["label"] == "api"


def test_sqlite_utils_knows_keys_and_searches(index: Path):
    library = pytest.importorskip("sqlite_utils", reason="sqlite-utils is not installed")
    with closing(sqlite3.connect(index)) as connection:
        database = library.Database(connection)
        assert database["tasks"].pks == ["id"]
        keys = {(k.column, k.other_table) for k in database["notes"].foreign_keys}
        assert keys == {("task", "tasks")}
        assert database["texts"].detect_fts() == "words"
        assert [row["kind"] for row in database["texts"].search("grammar")] == ["note"]
        assert {view.name for view in database.views} >= {"ready", "lead_times"}
