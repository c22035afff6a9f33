"""Model files of any size that take no room on the disk: a header, and tensors that are a hole."""

import os
import struct

GIB = 1 << 30
BLOCKS = 32
WIDTH = 2048
F16 = 1
ALIGNMENT = 32
U32, STRING = 4, 8


def _text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _key(name, value):
    if isinstance(value, str):
        return _text(name) + struct.pack("<I", STRING) + _text(value)
    return _text(name) + struct.pack("<II", U32, value)


def write_model(path, size_bytes, architecture="llama", **more):
    """A decoder of 32 layers with 64 KiB of f16 KV cache per token; an encoder with `pooling_type`.

    `more` are further keys of the architecture, or other values for those below.
    """
    keys = {"block_count": BLOCKS, "context_length": 32768, "embedding_length": WIDTH,
            "feed_forward_length": 8192, "vocab_size": 32000, "attention.head_count": 16,
            "attention.head_count_kv": 4, "attention.key_length": 128,
            "attention.value_length": 128, **more}
    names = [f"blk.{n}.weight" for n in range(BLOCKS)] + ["output.weight"]
    rows = size_bytes // (len(names) * WIDTH * 2)
    assert rows > 0, f"{size_bytes} bytes are too few"
    tensor_bytes = rows * WIDTH * 2
    header = b"GGUF" + struct.pack("<IQQ", 3, len(names), len(keys) + 2)
    header += _key("general.architecture", architecture) + _key("general.name", path.stem)
    for name, value in keys.items():
        header += _key(f"{architecture}.{name}", value)
    for number, name in enumerate(names):
        header += _text(name) + struct.pack("<IQQIQ", 2, WIDTH, rows, F16, number * tensor_bytes)
    header += b"\0" * (-len(header) % ALIGNMENT)
    with open(path, "wb") as file:
        file.write(header)
        os.ftruncate(file.fileno(), len(header) + len(names) * tensor_bytes)
    return path
