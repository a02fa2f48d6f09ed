"""A model of the llama architecture that knows nothing: two layers of random weights in a GGUF file of half a megabyte.

What it says makes no sense, but it is text: only whole words can win, and some of them are more than one byte a letter.
Seeded, so that the same file comes out everywhere. Sources: the GGUF specification of the ggml project, its page on
tensor names, and the Python package of that name, which writes the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from gguf import GGUFWriter
    from numpy.random import Generator

_SEED = 7
_WIDTH = 64
_HEADS = 4
_LAYERS = 2
_INNER = 128
_LOUD = 2.0  # how strongly a layer speaks; less, and the likeliest word is the last one again
_TRAINED_CONTEXT = 4096  # tokens; what a server offers is its own setting

_CONTROLS = ("<unk>", "<s>", "</s>")
_BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
# fmt: off
_WORDS = (
    "and", "the", "of", "to", "in", "is", "it", "was", "for", "on", "with", "as", "at", "by", "from", "not", "but",
    "what", "all", "were", "when", "we", "there", "can", "an", "each", "which", "do", "how", "if", "will", "up",
    "about", "out", "größer", "élan", "naïve", "мир", "水", "日本", "😀", "👩\N{ZERO WIDTH JOINER}🚀",
)
# fmt: on
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # how this kind of vocabulary writes the space that a word begins with

TOKENS = (*_CONTROLS, *_BYTES, *(_SPACE + word for word in _WORDS))

# One line a message, and then the name of who is to speak.
_TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"


def write_tiny_model(path: Path) -> None:
    """Write the model into a new file at `path`."""
    from gguf import GGUFWriter
    from numpy.random import default_rng

    writer = GGUFWriter(path, "llama")
    _describe(writer)
    _add_vocabulary(writer)
    _add_weights(writer, default_rng(_SEED))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: GGUFWriter) -> None:
    writer.add_name("tiny")
    writer.add_context_length(_TRAINED_CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(TOKENS))


def _add_vocabulary(writer: GGUFWriter) -> None:
    from gguf import TokenType

    kinds = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
    kinds += [TokenType.BYTE] * len(_BYTES) + [TokenType.NORMAL] * len(_WORDS)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.0] * len(TOKENS))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(TOKENS.index("<s>"))
    writer.add_eos_token_id(TOKENS.index("</s>"))
    writer.add_unk_token_id(TOKENS.index("<unk>"))
    writer.add_add_bos_token(True)
    writer.add_chat_template(_TEMPLATE)


def _add_weights(writer: GGUFWriter, random: Generator) -> None:
    from numpy import float32, ones

    def matrix(rows: int, columns: int, gain: float = 1.0):
        return random.normal(0, gain * columns**-0.5, (rows, columns)).astype(float32)

    output = matrix(len(TOKENS), _WIDTH, gain=3)
    output[: -len(_WORDS)] = 0  # half of the words have a positive score, so that nothing else is the most likely
    writer.add_tensor("token_embd.weight", matrix(len(TOKENS), _WIDTH))
    writer.add_tensor("output_norm.weight", ones(_WIDTH, float32))
    writer.add_tensor("output.weight", output)
    for layer in range(_LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", ones(_WIDTH, float32))
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"blk.{layer}.{part}.weight", matrix(_WIDTH, _WIDTH, _LOUD))
        for part in ("ffn_gate", "ffn_up"):
            writer.add_tensor(f"blk.{layer}.{part}.weight", matrix(_INNER, _WIDTH, _LOUD))
        writer.add_tensor(f"blk.{layer}.ffn_down.weight", matrix(_WIDTH, _INNER, _LOUD))
