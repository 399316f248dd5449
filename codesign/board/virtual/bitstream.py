"""A bitstream file of the virtual board: the header of a `.bit`, and as its data the name of a simulated design."""

import json
import struct
from dataclasses import asdict, dataclass
from pathlib import Path

from codesign.errors import ConfigError

_MAGIC = bytes.fromhex("0ff00ff00ff00ff000")
_WORD = 4


@dataclass(frozen=True)
class Content:
    """What is in the logic once it is loaded: a project's top, with a DMA of so many length bits."""

    top: str
    project: str
    length_bits: int = 26


def bit_bytes(content: Content, part: str) -> bytes:
    """The file: fields a to d are texts, e is the data, filled to whole words."""
    texts = {b"a": f"{content.top};UserID=0XFFFFFFFF;Version=virtual", b"b": part, b"c": "2026/01/01", b"d": "00:00:00"}
    data = json.dumps(asdict(content)).encode()
    data += b" " * (-len(data) % _WORD)
    fields = b"".join(key + struct.pack(">h", len(text) + 1) + text.encode() + b"\0" for key, text in texts.items())
    return struct.pack(">h", len(_MAGIC)) + _MAGIC + b"\x00\x01" + fields + b"e" + struct.pack(">i", len(data)) + data


def read_bit(path: Path) -> Content:
    """What is in the file. Raises ConfigError for anything but a virtual board's bitstream."""
    from pynq.pl_server.embedded_device import parse_bit_header

    try:
        found = json.loads(parse_bit_header(path.read_bytes())["data"])
        return Content(**found)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError, struct.error):
        raise ConfigError(
            f"{path} is no bitstream of the virtual board: the programmable logic cannot hold it"
        ) from None
