#!/usr/bin/env python3
"""Compares ott-bench's ids with tiktoken's and tokenizers', text by text.

    tokenizers_conformance.py --bin .build/release/ott-bench --vocabularies DIR \
        [--strings 1000000] [--megabytes 100] [--corpus FILE.jsonl ...]

DIR holds cl100k_base.tiktoken, gpt2.tiktoken, dolma2.json and neox.json (tools/fetch-tokenizers).
Text: generated strings that mix every Unicode plane with what the patterns treat specially, and
documents (the corpora given, then mixed text made of them and of generated strings) up to the
number of megabytes. Exit status 1 when any id differs.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tiktoken
from tokenizers import Tokenizer

PIECES = ["a", "Ab", "word", " the", "'s", "'S", "'ll", "'RE", "'ve", "'d", "'", "''", "'ſ", "’s",
          "0", "12", "1984", "٣", "Ⅷ", "½", " ", "  ", "    ", "\t", "\n", "\r\n", "\n\n", "\r",
          "\u00a0", "\u3000", "\u2028", "\u0085", "\x0b", "\x0c", "\x1f", ".", ",", "--", "…", "()",
          "日本", "한국어", "العربية", "עברית", "हिन्दी", "ไทย", "é", "e\u0301", "\u0301", "🙂",
          "👩‍👩‍👧‍👦", "🇩🇪", "\u200d", "\ufeff", "\ufffd", "\x01", "\x7f", "\U000e0041", "\U0010ffff"]


def generated(draw, count):
    for index in range(count):
        if index % 4 == 3:
            # Any scalar value of any plane but the surrogates and NUL, which ends a document here.
            plane = draw.choice([0, 0, 0, 1, 1, 2, 3, 14, 15, 16])
            yield "".join(
                chr(c) if not 0xD800 <= c < 0xE000 else "\ud7ff"
                for c in (draw.randrange(max(1, plane << 16), (plane + 1) << 16)
                          for _ in range(draw.randrange(1, 24))))
        else:
            yield "".join(draw.choices(PIECES, k=draw.randrange(1, 24)))


def documents(arguments, draw):
    total = 0
    limit = arguments.megabytes * 1_000_000
    texts = []
    for path in arguments.corpus:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                text = json.loads(line)["text"].replace("\0", "")
                texts.append(text)
                total += len(text.encode())
                yield text
                if total >= limit:
                    return
    while total < limit:
        mixed = []
        for piece in generated(draw, 4000):
            mixed.append(piece)
            if texts:
                text = draw.choice(texts)
                start = draw.randrange(max(1, len(text) - 400))
                mixed.append(text[start:start + draw.randrange(400)])
        text = "".join(mixed)
        total += len(text.encode())
        yield text


def peers(folder):
    def ranks(name):
        return tiktoken.load.load_tiktoken_bpe(str(folder / name))

    import tiktoken_ext.openai_public as public
    cl100k_pattern = None
    for line in Path(public.__file__).read_text().splitlines():
        if "p{N}{1,3}+" in line and "pat_str" in line:
            cl100k_pattern = line.split('r"""')[1].split('"""')[0]
    for name, pattern in [("cl100k_base.tiktoken", cl100k_pattern),
                          ("gpt2.tiktoken", public.r50k_pat_str)]:
        encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks(name),
                                     special_tokens={})
        yield "tiktoken", name, lambda texts, e=encoding: e.encode_ordinary_batch(texts)
    for name in ["dolma2.json", "gpt2.json", "neox.json"]:
        if (folder / name).exists():
            tokenizer = Tokenizer.from_file(str(folder / name))
            yield "tokenizers", name, lambda texts, t=tokenizer: [
                e.ids for e in t.encode_batch(texts, add_special_tokens=False)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--vocabularies", type=Path, required=True)
    parser.add_argument("--strings", type=int, default=20_000)
    parser.add_argument("--megabytes", type=float, default=2)
    parser.add_argument("--corpus", nargs="*", default=[])
    arguments = parser.parse_args()
    draw = random.Random("overtoken conformance")
    texts = list(generated(draw, arguments.strings))
    texts += list(documents(arguments, draw))
    size = sum(len(text.encode()) for text in texts)
    print(f"{len(texts)} texts, {size / 1e6:.1f} MB")
    different = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts"
        path.write_bytes(b"".join(text.encode() + b"\0" for text in texts))
        for peer, name, encode in peers(arguments.vocabularies):
            command = [arguments.bin, "tokenizers", "encode", "--tokenizer", arguments.vocabularies / name,
                       "--passes", "1", "--ids", folder + "/ids", "--counts", folder + "/counts"]
            if peer == "tiktoken":
                command.append("--ordinary")
            subprocess.run([*command, path], check=True, stdout=subprocess.DEVNULL)
            ids = np.fromfile(folder + "/ids", dtype=np.uint32)
            counts = np.fromfile(folder + "/counts", dtype=np.uint64)
            assert len(counts) == len(texts), (len(counts), len(texts))
            start = differences = 0
            for first in range(0, len(texts), 10_000):
                batch = texts[first:first + 10_000]
                for offset, (text, expected) in enumerate(zip(batch, encode(batch))):
                    count = int(counts[first + offset])
                    ours = ids[start:start + count]
                    start += count
                    if not np.array_equal(ours, np.array(expected, dtype=np.uint32)):
                        differences += 1
                        if differences <= 3:
                            print(f"  {name}: {text[:200]!r}\n    ours {ours[:40].tolist()}\n"
                                  f"    {peer} {list(expected)[:40]}")
            print(f"{peer} {name}: {differences} differences in {len(texts)} texts")
            different += differences
    sys.exit(1 if different else 0)


main()
