"""File names as text that every store takes, and back: undecodable bytes and lone surrogates are written out."""

from __future__ import annotations

import re

_WRITTEN_OUT = re.compile("[\\\\\ud800-\udfff]")
_READ_BACK = re.compile(r"\\(\\|x[0-9a-f]{2}|u[0-9a-f]{4})")


def key_of_name(name: str) -> str:
    r"""The name as text that UTF-8, JSON and SQLite hold.

    A byte that is no UTF-8 is written `\xff`, a lone surrogate `\ud800`; so that no two names meet, a backslash is
    written twice. Every other name, with any letters or line ends, is its own key.

    Example:
        >>> key_of_name("caf\udce9.jpg")
        'caf\\xe9.jpg'
    """
    return _WRITTEN_OUT.sub(_write_out, name)


def name_of_key(key: str) -> str:
    """The file's name, as the operating system takes it; undoes `key_of_name`."""
    return _READ_BACK.sub(_read_back, key)


def _write_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    if found[0] == "\\":
        return "\\\\"
    # 0x80 to 0xff: how Python holds a byte of a file name that it cannot decode (PEP 383)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _read_back(found: re.Match[str]) -> str:
    what = found[1]
    if what == "\\":
        return what
    return chr(int(what[1:], 16) + (0xDC00 if what[0] == "x" else 0))
