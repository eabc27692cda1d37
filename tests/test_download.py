from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from manyfill.download import cache_folder, cached_path, fetch, sha256_of
from manyfill.errors import BadWeights, UnknownModel

BODY = bytes(range(256)) * 9000  # more than two chunks
SHA256 = hashlib.sha256(BODY).hexdigest()


class Site(BaseHTTPRequestHandler):
    """/whole: the file; /short: breaks off half-way; anything else: 404."""

    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        if self.path not in ("/whole.bin", "/short.bin"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY if self.path == "/whole.bin" else BODY[: len(BODY) // 2])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    Site.requests = 0
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def leftovers() -> list[str]:
    return sorted(path.name for path in cache_folder().glob("*")) + sorted(p.name for p in cache_folder().glob(".*"))


def test_a_file_is_fetched_once_and_then_comes_from_the_cache(site: str) -> None:
    heard: list[tuple[int, int | None]] = []
    path = fetch(f"{site}/whole.bin", SHA256, progress=lambda got, total: heard.append((got, total)))
    assert path.read_bytes() == BODY
    assert path.parent == cache_folder()
    assert heard[-1] == (len(BODY), len(BODY))
    assert fetch(f"{site}/whole.bin", SHA256) == path
    assert Site.requests == 1
    assert leftovers() == [path.name]


def test_a_damaged_file_in_the_cache_is_fetched_again(site: str) -> None:
    path = fetch(f"{site}/whole.bin", SHA256)
    path.write_bytes(b"damaged")
    assert fetch(f"{site}/whole.bin", SHA256).read_bytes() == BODY
    assert Site.requests == 2


def test_upper_case_checksums_are_accepted(site: str) -> None:
    assert fetch(f"{site}/whole.bin", SHA256.upper()) == fetch(f"{site}/whole.bin", SHA256)


def test_another_content_than_promised_is_refused_and_leaves_nothing_behind(site: str) -> None:
    with pytest.raises(BadWeights, match=r"sha256 [0-9a-f]{64} \(\d+ bytes\), expected 0{64}"):
        fetch(f"{site}/whole.bin", "0" * 64)
    assert leftovers() == []


def test_a_connection_that_breaks_off_is_an_error_and_leaves_nothing_behind(site: str) -> None:
    with pytest.raises(UnknownModel, match="the connection broke off"):
        fetch(f"{site}/short.bin", SHA256)
    assert leftovers() == []


def test_a_missing_file_says_the_status_and_what_to_do(site: str) -> None:
    with pytest.raises(UnknownModel, match=r"HTTP 404 Not Found.*by hand to .*missing\.bin \(sha256 "):
        fetch(f"{site}/missing.bin", SHA256)


def test_without_a_network_the_error_says_where_to_put_the_file() -> None:
    url = "http://127.0.0.1:9/model.safetensors"  # the discard port: nobody listens
    with pytest.raises(UnknownModel) as error:
        fetch(url, SHA256)
    assert str(cached_path(url, SHA256)) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_brought_by_hand_is_used_without_a_network() -> None:
    url = "http://127.0.0.1:9/model.safetensors"
    path = cached_path(url, SHA256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(BODY)
    assert fetch(url, SHA256) == path


def test_local_files_are_fetched_too(tmp_path: Path) -> None:
    source = tmp_path / "a file.bin"
    source.write_bytes(BODY)
    path = fetch(source.as_uri(), SHA256)
    assert path.read_bytes() == BODY
    assert path.name.endswith("-a file.bin")


def test_other_schemes_are_refused() -> None:
    with pytest.raises(UnknownModel, match="expected an address that begins with https://"):
        fetch("ftp://example.org/model.bin", SHA256)


def test_a_cache_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UnknownModel, match="Set MANYFILL_CACHE to a folder that you can write to"):
        fetch("http://127.0.0.1:9/model.bin", SHA256)


def test_an_interrupted_download_leaves_nothing_behind(site: str) -> None:
    def stop(got: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(f"{site}/whole.bin", SHA256, progress=stop)
    assert leftovers() == []


def test_two_at_once_both_get_the_whole_file(site: str) -> None:
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(f"{site}/whole.bin", SHA256))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 2 and sha256_of(paths[0]) == SHA256
    assert leftovers() == [paths[0].name]


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYFILL_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_folder() == Path("/a")
    monkeypatch.delenv("MANYFILL_CACHE")
    assert cache_folder() == Path("/b/manyfill")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert cache_folder() == Path("/c/.cache/manyfill")
