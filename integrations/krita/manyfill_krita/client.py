"""Talks to a Manyfill server: a photo and a mask go there, fills come back, one by one. Neither Krita nor Qt here."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

ADDRESS = "http://127.0.0.1:8765"
SECONDS = 330  # until the server has to say something: longer than it works at one request


class Problem(Exception):
    """What went wrong and what to do, in words for whoever sits before Krita."""


@dataclass(frozen=True)
class Fill:
    """One fill, best first."""

    png: bytes
    seed: int
    score: float | None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For its layer."""
        return f"seed {self.seed}" + ("" if self.score is None else f", score {self.score:.3f}")


class Request:
    """One request; `fills` waits for its answers, `cancel` ends that from another thread."""

    def __init__(self, address: str = ADDRESS, token: str = "") -> None:
        self.address, self.token = address.strip().rstrip("/") or ADDRESS, token.strip()
        where = urlsplit(self.address)
        if where.scheme not in ("http", "https") or not where.hostname:
            raise Problem(f"{self.address} is no server's address. It looks like {ADDRESS}.")
        kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(where.hostname, where.port, timeout=SECONDS)
        self._path = where.path
        self._cancelled = False

    def fills(self, photo: bytes, mask: bytes, *, n: int = 4) -> Iterator[Fill]:
        """PNG files in, fills out, each as soon as it is finished. Raises Problem."""
        try:
            kind, body = _form({"n": str(n), "stream": "true"}, {"image": photo, "mask": mask})
            headers = {"Content-Type": kind, **({"Authorization": f"Bearer {self.token}"} if self.token else {})}
            self._connection.request("POST", f"{self._path}/v1/images/edits", body, headers)
            answer = self._connection.getresponse()
            if answer.status != 200:
                raise Problem(_refusal(answer.status, answer.read(100_000)))
            for event, data in _events(answer):
                if event == "error":
                    raise Problem(_words(data))
                if event == "image_edit.completed":
                    score, notes = data.get("score"), tuple(data.get("notes") or ())
                    yield Fill(base64.b64decode(data["b64_json"]), int(data["seed"]), score, notes)
        except (OSError, http.client.HTTPException, ValueError, KeyError, AttributeError) as error:
            if self._cancelled:
                return
            raise Problem(self._why(error)) from error
        finally:
            self._connection.close()

    def cancel(self) -> None:
        """Hang up: the server then stops its work."""
        self._cancelled = True
        if self._connection.sock is not None:
            try:
                self._connection.sock.shutdown(2)
            except OSError:
                return

    def _why(self, error: Exception) -> str:
        if isinstance(error, ConnectionRefusedError):
            return f"No Manyfill server answers at {self.address}. Start it with: manyfill serve"
        if isinstance(error, OSError):
            return f"The Manyfill server at {self.address} cannot be reached ({error.strerror or error})."
        return f"What answers at {self.address} is no Manyfill server. Start one with: manyfill serve"


def _form(fields: dict[str, str], files: dict[str, bytes]) -> tuple[str, bytes]:
    """A multipart body and its content type."""
    mark = secrets.token_hex(16)
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, data in files.items():
        head = f'Content-Disposition: form-data; name="{name}"; filename="{name}.png"\r\nContent-Type: image/png'
        parts.append(f"--{mark}\r\n{head}\r\n\r\n".encode() + data + b"\r\n")
    return f"multipart/form-data; boundary={mark}", b"".join((*parts, f"--{mark}--\r\n".encode()))


def _events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, dict]]:
    """(name, data) of each server-sent event."""
    name = ""
    for line in answer:
        field, _, value = line.decode("utf-8").rstrip("\r\n").partition(":")
        if field == "event":
            name = value.strip()
        elif field == "data":
            yield name, json.loads(value)


def _refusal(status: int, body: bytes) -> str:
    if status == 401:
        return "This Manyfill server wants a token. Enter it in Tools ▸ Scripts ▸ Manyfill Settings."
    try:
        return _words(json.loads(body))
    except (ValueError, KeyError, TypeError):
        return f"What answers there is no Manyfill server: it said {status}. Start one with: manyfill serve"


def _words(body: dict) -> str:
    words = str(body["error"]["message"])
    return words[:1].upper() + words[1:]
