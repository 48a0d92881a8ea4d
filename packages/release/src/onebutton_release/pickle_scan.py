"""Prove that no file of a release holds a pickle: a program that would run when somebody reads it.

Read with the standard library's disassembler, which executes nothing. A pickle that can do harm must name something to import
(`GLOBAL`, `INST`, or `STACK_GLOBAL` after two texts), so what is looked for is a stream that does, and that runs to its `STOP`:
at the start of a file, and wherever the mark of a newer protocol stands, which finds those inside other files.
"""

from __future__ import annotations

import pickletools
import re
from pathlib import Path

_MARK = re.compile(rb"\x80[\x02-\x05]")
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*( [A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?")
_ARCHIVES = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf")
LONGEST = 1_000_000  # bytes of one stream that are read


def pickles(folder: Path) -> list[str]:
    """Name every file that holds a pickle, or an archive in which one could hide."""
    found = []
    for path in sorted(filter(Path.is_file, folder.rglob("*"))):
        content, name = path.read_bytes(), path.relative_to(folder).as_posix()
        if content.startswith(_ARCHIVES):
            found.append(f"{name} is an archive, in which a pickle could hide")
        elif holds_pickle(content):
            found.append(f"{name} holds a pickle, a program that runs when it is read")
    return found


def holds_pickle(content: bytes) -> bool:
    """Say whether a stream of pickle's opcodes that imports something stands in these bytes."""
    starts = [0, *(match.start() for match in _MARK.finditer(content))]
    return any(_imports(content[start : start + LONGEST]) for start in starts)


def _imports(stream: bytes) -> bool:
    """Disassemble a stream up to its end, and say whether it is one, and names something to import."""
    texts, imports = 0, False
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name in {"GLOBAL", "INST"}:
                if not _NAME.fullmatch(str(argument)):
                    return False
                imports = True
            elif opcode.name == "STACK_GLOBAL":
                imports = imports or texts >= 2  # noqa: PLR2004  a module and a name
            elif isinstance(argument, str):
                texts += 1
    except Exception:  # noqa: BLE001  whatever the disassembler says, this is no pickle to its end
        return False
    return imports
