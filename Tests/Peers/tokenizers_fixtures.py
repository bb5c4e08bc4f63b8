#!/usr/bin/env python3
"""Writes Tests/TokenizationTests/BPE/Fixtures from the pinned peers (tiktoken, tokenizers).

    pip install --no-deps -r Tests/Peers/tokenizers.lock
    Tests/Peers/tokenizers_fixtures.py Tests/TokenizationTests/BPE/Fixtures

corpus.txt        made-up text, one document a line; also .gz, and .zst made by `zstd --check`
NAME.json         tokenizers that Hugging Face trained on it: what our trainer must find too
cl100k.tiktoken   the cl100k vocabulary in tiktoken's form; o200k.tiktoken likewise
special.json      one whose special tokens training also makes: a byte, the space, a merge
cases.json        texts and the ids that the peers give them
patterns.json     the same for o200k, Llama 3 and Qwen 2, with texts of mixed case
"""

import base64
import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import tiktoken
from patterns import CL100K, CL100K_TIKTOKEN, LLAMA3, O200K, QWEN2
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

SPLITS = {"cl100k": CL100K, "llama3": LLAMA3, "o200k": O200K, "qwen2": QWEN2}
VOCABULARY = 600
draw = random.Random("overtoken tokenizer fixtures")


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def pre_tokenizer(name):
    if name == "none":
        return byte_level(False)
    if name == "gpt2":
        return byte_level(True)
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLITS[name]), "isolated"), byte_level(False)])


def corpus():
    syllables = [a + b + c for a in ["", "b", "st", "m", "tr", "é", "п"] for b in "aeiou"
                 for c in ["", "n", "rd", "s"]]
    words = ["".join(draw.choices(syllables, k=draw.choice([1, 1, 2, 2, 3]))) for _ in range(300)]
    words += ["don't", "we'll", "I'VE", "1984", "12", "--", "(", ")", "...", "naïve", "日本語", "🙂"]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    lines = []
    for _ in range(160):
        text = draw.choices(words, weights, k=draw.randint(3, 30))
        lines.append(draw.choice([" ", " ", " ", "  "]).join(text) + draw.choice([".", "!", ""]))
    return lines


def train(name, lines, vocabulary=VOCABULARY, special=()):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer(name)
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=vocabulary, show_progress=False, special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


PIECES = (
    ["a", "b", "nard", "sta", "The", "é", "e\u0301", "п", "日", "本", "א", "ش", "\u0e01", "ſ", "ǅ", "ʰ"]
    + ["0", "7", "12", "1984", "٣", "Ⅷ", "½"]
    + [" ", " ", " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", "\r", "\u00a0", "\u3000", "\u2028", "\x0b"]
    + ["'s", "'S", "'ll", "'RE", "'ve", "'d", "'", "''", "'ſ", "’"]
    + [".", ",", "--", "…", "(", "🙂", "👩‍👩‍👧‍👦", "🇩🇪", "\u0301", "\u200d", "\x00", "\x7f", "\ufffd", "\U000e0041"]
    + ["<|endoftext|>", "<|end", "|>"])


def cases(count):
    texts = ["", "a", " ", "\n", "'", "x" * 64, "x" * 65, " " * 70, "\n" * 70, "7" * 65, "'" * 65]
    texts += ["word " * 13 + "x" * extra for extra in range(8)]
    texts += ["각 각 각 각\u11a8", "a\u0345\u0301\u0334 q\u0323\u0307 \u1e9b\u0323", "\U000e0041\u0301",
              "\u212b \u2126 \u0344 \u0958 \ufb1d \U0001d15e", "\u0b92\u0bd7 \U00011099\U000110ba", "x\u0301\u0301\u0327" * 40]
    while len(texts) < count:
        texts.append("".join(draw.choices(PIECES, k=draw.randint(1, 40))))
    return texts


MIXED = PIECES + ["HTMLParser", "aB", "ABC", "iPhone", "X'S", "x'rE", "Don'T", "'s's", "Ж", "ж", "ÉÈ",
                  "/", "//", "\n//", ";\n/\n", "日ABC", "ʰA", "\u0301AB", "ab\u0301C", "https://a.b/c"]


def ranks(tokenizer):
    """The vocabulary as tiktoken has it: byte strings and their ranks."""
    alphabet = {}
    following = 256
    for byte in range(256):
        printable = 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255
        alphabet[chr(byte) if printable else chr(following)] = byte
        following += not printable
    vocabulary = json.loads(tokenizer.to_str())["model"]["vocab"]
    return {bytes(alphabet[c] for c in token): rank for token, rank in vocabulary.items()}


def write_ranks(path, table):
    path.write_text("".join(
        f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in table.items()))


def write_cases(path, cases):
    path.write_text(
        "[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")


def newer_patterns(folder, lines):
    mixed = lines + ["".join(draw.choices(MIXED, k=30)) for _ in range(160)]
    peers = {name: train(name, mixed) for name in ["o200k", "llama3", "qwen2"]}
    for name, peer in peers.items():
        peer.save(str(folder / f"{name}.json"))
    table = ranks(peers["o200k"])
    write_ranks(folder / "o200k.tiktoken", table)
    encoding = tiktoken.Encoding("small", pat_str=O200K, mergeable_ranks=table, special_tokens={})
    result = []
    for _ in range(240):
        text = "".join(draw.choices(MIXED, k=draw.randint(1, 40)))
        ids = {name: peer.encode(text, add_special_tokens=False).ids
               for name, peer in peers.items()}
        ids["o200k-tiktoken"] = encoding.encode_ordinary(text)
        result.append({"text": text, "ids": ids})
    write_cases(folder / "patterns.json", result)


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    lines = corpus()
    (folder / "corpus.txt").write_text("\n".join(lines) + "\n")
    (folder / "corpus.txt.gz").write_bytes(
        gzip.compress((folder / "corpus.txt").read_bytes(), mtime=0))
    subprocess.run(["zstd", "-qf", "--check", folder / "corpus.txt"], check=True)
    peers = {}
    for name in ["gpt2", "cl100k"]:
        peers[name] = train(name, lines, special=["<|endoftext|>"])
        peers[name].save(str(folder / f"{name}.json"))
    train("none", lines, 400).save(str(folder / "none.json"))

    neox = train("gpt2", lines)
    neox.normalizer = normalizers.NFC()
    neox.add_special_tokens(["<|endoftext|>"])
    neox.add_tokens([AddedToken(" " * width, normalized=True) for width in range(8, 1, -1)])
    neox.save(str(folder / "neox.json"))
    peers["neox"] = neox

    table = ranks(train("cl100k", lines))
    write_ranks(folder / "cl100k.tiktoken", table)
    encoding = tiktoken.Encoding("small", pat_str=CL100K_TIKTOKEN, mergeable_ranks=table,
                                 special_tokens={})
    result = []
    for text in cases(240):
        ids = {name: peer.encode(text, add_special_tokens=False).ids
               for name, peer in peers.items()}
        ids["tiktoken"] = encoding.encode_ordinary(text)
        result.append({"text": text, "ids": ids})
    write_cases(folder / "cases.json", result)
    train("gpt2", lines, special=["|", "a", "\u0120", "st"]).save(str(folder / "special.json"))
    newer_patterns(folder, lines)


main()
