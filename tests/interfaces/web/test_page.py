"""The files of the page: what is served, with which policy, and what no file of it may contain."""

import hashlib
import re
import tomllib
import zipfile
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from orchestrator import Orchestrator
from orchestrator.interfaces.web import page

from .conftest import client_of

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(page.__file__).parent / "page"
VENDORED = FOLDER / "vendor"
OWN = [path for path in FOLDER.rglob("*.js") if VENDORED not in path.parents]
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\bstyle=[\"']|https?://(?!www\.w3\.org)"
)
IMPORTED = re.compile(r'\bfrom ?"(\.[^"]+)";')
HTML = {"Accept": "text/html"}
FILES = f"{page.PREFIX}{page.version()}/"


def test_each_address_of_a_view_is_the_page_and_programs_get_their_errors(client: TestClient):
    shown = client.get("/tasks/299833bc", headers=HTML)
    assert (shown.status_code, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert client.get("/", headers={"Accept": "*/*"}).text.startswith("<!doctype html>")
    for path, headers in (("/tasks/x", {}), ("/api/none", HTML), (f"{FILES}none.js", HTML)):
        reply = client.get(path, headers=headers)
        assert (reply.status_code, reply.headers["content-type"]) == (
            404,
            "application/problem+json",
        )


def test_the_policy_allows_no_code_in_the_page_and_nothing_from_elsewhere(client: TestClient):
    for path in ("/", f"{FILES}app.js", f"{FILES}views/graph-layout.js"):
        policy = client.get(path, headers=HTML).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
    text = client.get("/", headers=HTML).text
    assert re.findall(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", text) == []


def test_the_page_begins_after_the_last_event(client: TestClient, board: Orchestrator):
    board.tasks.add("build", title="T")
    event = board.engine.read().event
    assert f'name="orc-event" content="{event}"' in client.get("/", headers=HTML).text


def test_names_in_the_shell_are_escaped(board: Orchestrator):
    with client_of(board, person='"><script>x</script>') as client:
        text = client.get("/", headers=HTML).text
    assert "<script>x" not in text
    assert "&quot;&gt;&lt;script&gt;x" in text


def test_no_path_leaves_the_folder_of_the_page(client: TestClient):
    for path in ("../page.py", "%2e%2e/page.py", "..%2fpage.py", "/etc/passwd", "index.html", ""):
        assert client.get(f"{FILES}{path}").status_code == 404, path


def test_a_file_has_its_version_in_its_address_so_that_a_browser_keeps_it(client: TestClient):
    reply = client.get(f"{FILES}app.js")
    assert "immutable" in reply.headers["cache-control"]
    assert client.get("/page/0123456789abcdef/app.js").status_code == 404


def test_the_shell_names_each_module_that_is_loaded_at_once(client: TestClient):
    for path in ("/", "/tasks/x", "/graph"):
        text = client.get(path, headers=HTML).text
        named = set(re.findall(rf'modulepreload" href="{FILES}([^"]+)', text))
        assert f"views/{path.split('/')[1] or 'board'}.js" in named
        for module in named:
            folder = (FOLDER / module).parent
            found = IMPORTED.findall(page.files()[module].decode())
            paths = {(folder / each).resolve().relative_to(FOLDER).as_posix() for each in found}
            assert paths <= named, module


def test_the_style_of_a_view_applies_to_that_view_only():
    views = {path.stem for path in (FOLDER / "views").glob("*.js")}
    for path in (FOLDER / "views").glob("*.css"):
        rules = re.findall(r"^[^\s}/].*", path.read_text(encoding="utf-8"), re.MULTILINE)
        for rule in rules:
            assert re.fullmatch(r'(\[data-view="\w+"\],? )+\{', rule), (path.name, rule)
            assert set(re.findall(r'"(\w+)"', rule)) <= views


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_no_file_makes_markup_or_code_of_texts(path: Path):
    assert FORBIDDEN.findall(path.read_text(encoding="utf-8")) == []


def test_what_is_vendored_is_what_was_published():
    versions = tomllib.loads((VENDORED / "versions.toml").read_text(encoding="utf-8"))
    sums = {
        f"{name}/{file}": digest
        for name, package in versions.items()
        for file, digest in package["files"].items()
    }
    files = [path for path in VENDORED.rglob("*") if path.is_file() and path.suffix != ".toml"]
    assert sums == {
        path.relative_to(VENDORED).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    assert all("LICENSE" in package["files"] for package in versions.values())


def test_an_installed_package_has_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    hatchling = pytest.importorskip("hatchling.build")
    monkeypatch.chdir(ROOT)
    with zipfile.ZipFile(tmp_path / hatchling.build_wheel(str(tmp_path))) as wheel:
        packed = {name for name in wheel.namelist() if "/web/page/" in name}
    assert packed == {
        path.relative_to(ROOT).as_posix() for path in FOLDER.rglob("*") if path.is_file()
    }
