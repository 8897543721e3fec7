"""What a widget sends to the browser: its ES module and style, joined with what the front ends share.

anywidget hands one text to the browser, which cannot import its siblings. So a widget's `.js` imports from `front/` as
any ES module does, and here those imports are replaced by what they name: no bundler, no network, and the files stay
plain modules that an editor and a type checker understand.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

_IMPORT = re.compile(r"""^import \{[^}]*\} from "(\.{1,2}/[^"]+)";\n""", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class)\b)", re.MULTILINE)
_NAME = re.compile(r"^(?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)
_FRONT = Path(__file__).parent / "front"


@lru_cache
def module(path: Path) -> str:
    """The ES module at `path` with every module that it imports, each once, before what needs it.

    Raises:
        ValueError: two of them define the same name, or an import is not written as `import { a } from "./b.js";`.
    """
    text = "\n".join(_joined(path.resolve(), [], root=True))
    if re.search(r"^import\b", text, re.MULTILINE):
        raise ValueError(f'{path.name}: modules are imported as `import {{ a, b }} from "./file.js";`')
    names = _NAME.findall(text)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{path.name}: {', '.join(twice)} is defined by two of the modules that are joined")
    return text


@lru_cache
def style(path: Path) -> str:
    """The style sheet at `path`, after the one that all widgets share."""
    return (_FRONT / "theme.css").read_text("utf-8") + path.read_text("utf-8")


def _joined(path: Path, seen: list[Path], root: bool = False) -> list[str]:
    if path in seen:
        return []
    seen.append(path)
    text = path.read_text("utf-8")
    parts = [part for name in _IMPORT.findall(text) for part in _joined((path.parent / name).resolve(), seen)]
    text = _IMPORT.sub("", text)
    return [*parts, text if root else _EXPORT.sub("", text)]
