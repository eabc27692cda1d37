"""MkDocs hook: links from docs/ to files outside it, which the site does not hold.

Pages link to the code as readers of the repository need it: `[recipes](../manyfill/recipes.py)`. On the site such a
link leads to the file in the repository where `repo_url` is known, and is plain text where it is not. One to a file
that does not exist is left as it is, and `mkdocs build --strict` fails at it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>\.\./[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """The page's Markdown with its links out of docs/ replaced."""
    docs = Path(config["docs_dir"])
    return replaced(markdown, (docs / page.file.src_uri).parent, docs.parent, config["repo_url"] or "")


def replaced(markdown: str, folder: Path, root: Path, repository: str) -> str:
    """`markdown` of a page in `folder`, its links to files under `root` now links into `repository`, or text."""

    def replace(link: re.Match[str]) -> str:
        file = (folder / link["target"]).resolve()
        if not file.exists() or not file.is_relative_to(root.resolve()):
            return link[0]
        if not repository:
            return link["text"]
        kind = "tree" if file.is_dir() else "blob"
        path = file.relative_to(root.resolve()).as_posix()
        return f"[{link['text']}]({repository.rstrip('/')}/{kind}/main/{path}{link['anchor'] or ''})"

    return LINK.sub(replace, markdown)
