#!/usr/bin/env python3
"""Writes Tests/TokenizationTests/BPE/Fixtures from the pinned peers (tiktoken, tokenizers).

    pip install --no-deps -r Tests/Peers/tokenizers.lock
    Tests/Peers/tokenizers_fixtures.py Tests/TokenizationTests/BPE/Fixtures

corpus.txt        made-up text, one document a line; also .gz, and .zst made by `zstd --check`
NAME.json         tokenizers that Hugging Face trained on it: what our trainer must find too
cl100k.tiktoken   the cl100k vocabulary in tiktoken's form
cases.json        texts and the ids that the peers give them
"""

import base64
import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CL100K_TIKTOKEN = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
                   r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s")
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
        [pre_tokenizers.Split(Regex(CL100K), "isolated"), byte_level(False)])


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

    vocabulary = json.loads(train("cl100k", lines).to_str())["model"]["vocab"]
    alphabet = {}
    following = 256
    for byte in range(256):
        printable = 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255
        alphabet[chr(byte) if printable else chr(following)] = byte
        following += not printable
    ranks = {bytes(alphabet[c] for c in token): rank for token, rank in vocabulary.items()}
    (folder / "cl100k.tiktoken").write_text("".join(
        f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items()))
    encoding = tiktoken.Encoding("small", pat_str=CL100K_TIKTOKEN, mergeable_ranks=ranks,
                                 special_tokens={})
    result = []
    for text in cases(240):
        ids = {name: peer.encode(text, add_special_tokens=False).ids
               for name, peer in peers.items()}
        ids["tiktoken"] = encoding.encode_ordinary(text)
        result.append({"text": text, "ids": ids})
    (folder / "cases.json").write_text(
        "[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in result) + "\n]\n")


main()
