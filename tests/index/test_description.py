"""The schema is described in its page, in the list of the command, and in Datasette."""

from pathlib import Path

from orchestrator.index import description, schema
from orchestrator.index.views import VIEWS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "schema.md"


def test_the_page_of_the_schema_is_in_step_with_the_declarations():
    """If this fails: python -m orchestrator.index.description docs/schema.md."""
    assert PAGE.read_text("utf-8") == description.page()


def test_every_table_view_and_column_is_described():
    for table in (*schema.TABLES, schema.TEXTS):
        assert table.about.endswith((".", ":")), table.name
        assert all(column.about for column in table.columns), table.name
    assert all(view.about.endswith(".") for view in VIEWS)


def test_the_metadata_names_what_the_database_has():
    named = description.metadata()["databases"]["index"]["tables"]
    known = {relation.name for relation in description.overview()} | set(description._HIDDEN)
    assert named.keys() == known


def test_keys_point_to_columns_that_are_keys():
    tables = {table.name: table for table in (*schema.TABLES, schema.TEXTS)}
    for table in tables.values():
        for column in table.columns:
            if column.references:
                other, _, name = column.references.partition(".")
                assert tables[other].key == (name,), f"{table.name}.{column.name}"
