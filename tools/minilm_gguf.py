"""Writes all-MiniLM-L6-v2 as the engine's GGUF, from its safetensors file and its list of words.

Needs nothing but Python: a GGUF file is a header and bytes, and the same input gives the same file
on every machine, so that its sum can be pinned. Matrices become half precision; what the engine
wants in single precision (norms, biases, positions, token types) stays as it is.
"""

import json
import struct

MAGIC = b"GGUF"
VERSION = 3
ALIGNMENT = 32
F32, F16 = 0, 1
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
TYPE_NORMAL, TYPE_CONTROL = 1, 3
HALVES_AT_ONCE = 1 << 20
NUMBERS = {UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}

NAMES = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm": "token_embd_norm",
}
LAYER_NAMES = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
SINGLE_PRECISION = {"position_embd.weight", "token_types.weight"}


def gguf_name(name):
    """The engine's name of a tensor; None for one that it does not use."""
    if name in NAMES:
        return NAMES[name]
    stem, _, kind = name.rpartition(".")
    if stem in NAMES:
        return f"{NAMES[stem]}.{kind}"
    if stem.startswith("encoder.layer."):
        layer, _, part = stem.removeprefix("encoder.layer.").partition(".")
        return f"blk.{layer}.{LAYER_NAMES[part]}.{kind}"
    return None  # the pooler and the list of positions


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key, kind, value):
    if kind == STRING:
        return text(key) + struct.pack("<I", STRING) + text(value)
    return text(key) + struct.pack("<I", kind) + struct.pack(NUMBERS[kind], value)


def array(key, kind, values):
    head = text(key) + struct.pack("<IIQ", ARRAY, kind, len(values))
    if kind == STRING:
        return head + b"".join(map(text, values))
    return head + b"".join(struct.pack(NUMBERS[kind], value) for value in values)


def word_of(word):
    """Words of the list begin a word unless they say `##`; the engine marks the beginning."""
    if is_control(word):
        return word
    return word[2:] if word.startswith("##") else "\u2581" + word


def is_control(word):
    return word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def metadata(words):
    ids = {word: number for number, word in enumerate(words)}
    types = [TYPE_CONTROL if is_control(word) else TYPE_NORMAL for word in words]
    return [
        pair("general.architecture", STRING, "bert"),
        pair("general.name", STRING, "all-MiniLM-L6-v2"),
        pair("general.license", STRING, "apache-2.0"),
        pair("general.file_type", UINT32, 1),
        pair("bert.block_count", UINT32, 6),
        pair("bert.context_length", UINT32, 512),
        pair("bert.embedding_length", UINT32, 384),
        pair("bert.feed_forward_length", UINT32, 1536),
        pair("bert.attention.head_count", UINT32, 12),
        pair("bert.attention.layer_norm_epsilon", FLOAT32, 1e-12),
        pair("bert.attention.causal", BOOL, False),
        pair("bert.pooling_type", UINT32, 1),
        pair("tokenizer.ggml.model", STRING, "bert"),
        pair("tokenizer.ggml.pre", STRING, "jina-v2-en"),
        pair("tokenizer.ggml.token_type_count", UINT32, 2),
        array("tokenizer.ggml.tokens", STRING, [word_of(word) for word in words]),
        array("tokenizer.ggml.token_type", INT32, types),
        pair("tokenizer.ggml.unknown_token_id", UINT32, ids["[UNK]"]),
        pair("tokenizer.ggml.seperator_token_id", UINT32, ids["[SEP]"]),
        pair("tokenizer.ggml.padding_token_id", UINT32, ids["[PAD]"]),
        pair("tokenizer.ggml.mask_token_id", UINT32, ids["[MASK]"]),
        pair("tokenizer.ggml.bos_token_id", UINT32, ids["[CLS]"]),
        pair("tokenizer.ggml.eos_token_id", UINT32, ids["[SEP]"]),
    ]


def padding(size):
    return b"\0" * (-size % ALIGNMENT)


def halves(source, count, target):
    while count > 0:
        some = min(count, HALVES_AT_ONCE)
        target.write(struct.pack(f"<{some}e", *struct.unpack(f"<{some}f", source.read(some * 4))))
        count -= some


def copy(source, size, target):
    while size > 0:
        piece = source.read(min(size, 1 << 20))
        target.write(piece)
        size -= len(piece)


def write_gguf(weights, words, target):
    """`weights` and `target` are open files of bytes; `words` is the text of vocab.txt."""
    size, = struct.unpack("<Q", weights.read(8))
    described = json.loads(weights.read(size))
    begin = 8 + size
    tensors = []  # (name, shape, precision, where the source has it)
    for name, tensor in sorted(described.items()):
        known = gguf_name(name)
        if name == "__metadata__" or known is None:
            continue
        if tensor["dtype"] != "F32":
            raise ValueError(f"{name} is {tensor['dtype']}, not F32")
        single = len(tensor["shape"]) < 2 or known in SINGLE_PRECISION
        tensors.append((known, tensor["shape"], F32 if single else F16,
                        begin + tensor["data_offsets"][0]))
    pairs = metadata(words.rstrip("\n").split("\n"))
    header = MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(pairs)) + b"".join(pairs)
    offset = 0
    for name, shape, precision, _ in tensors:
        header += text(name) + struct.pack("<I", len(shape))
        header += b"".join(struct.pack("<Q", length) for length in reversed(shape))
        header += struct.pack("<IQ", precision, offset)
        offset += bytes_of(shape, precision)
        offset += len(padding(offset))
    target.write(header + padding(len(header)))
    for name, shape, precision, at in tensors:
        weights.seek(at)
        count = numbers_of(shape)
        if precision == F16:
            halves(weights, count, target)
        else:
            copy(weights, count * 4, target)
        target.write(padding(bytes_of(shape, precision)))


def numbers_of(shape):
    count = 1
    for length in shape:
        count *= length
    return count


def bytes_of(shape, precision):
    return numbers_of(shape) * (2 if precision == F16 else 4)
