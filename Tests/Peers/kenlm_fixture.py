"""Writes what KenLM estimates from a small text: Tests/NGramsTests/Fixtures/kenlm.json.

    python3 Tests/Peers/kenlm_fixture.py --kenlm DIRECTORY

DIRECTORY holds the sources of the package kenlm==0.3.0 (`pip download --no-binary :all: --no-deps kenlm==0.3.0`,
unpacked), of which `lmplz` and `query` are built here; that needs cmake, a C++ compiler and Boost (Debian: cmake,
libboost-program-options-dev, libboost-system-dev, libboost-thread-dev, libboost-test-dev). Only the standard library.

The text is drawn from a chain of five states over sixty words, many of them rare, so that the discounts of all orders
come from counts of counts; those of a second, smaller text fall back. Tokens: 0 is the beginning of a line, 1 its end, 2… the words.
"""

import argparse
import json
import random
import re
import subprocess
import tempfile
from pathlib import Path

OUTPUT = Path(__file__).resolve().parent.parent / "NGramsTests/Fixtures/kenlm.json"
WORDS, ORDERS = 60, [2, 3, 4, 5]


def lines(seed, count):
    """Lines of words as numbers; every line is another length, also 0 and 1."""
    draw = random.Random(seed)
    chain = random.Random(0)
    weights = [[chain.random() ** 8 for _ in range(WORDS)] for _ in range(5)]
    state, result = 0, []
    for number in range(count):
        line = []
        for _ in range(number % 13):
            word = draw.choices(range(WORDS), weights[state])[0]
            state = (3 * state + word) % 5
            line.append(word)
        result.append(line)
    return result


def built(kenlm):
    folder = kenlm / "build"
    folder.mkdir(exist_ok=True)
    if not (folder / "bin/lmplz").exists():
        subprocess.run(["cmake", "..", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_POLICY_VERSION_MINIMUM=3.5"],
                       cwd=folder, check=True)
        subprocess.run(["make", "-j2", "lmplz", "query"], cwd=folder, check=True)
    return folder / "bin"


def text(lines):
    return "".join(" ".join(f"w{word}" for word in line) + "\n" for line in lines)


def estimated(bin, order, train, test, folder):
    """Log-probabilities (base 10) of each word and the end of each line, and the discounts of each order."""
    arpa = folder / f"{order}.arpa"
    run = subprocess.run([bin / "lmplz", "-o", str(order), "-S", "64M", "-T", folder, "--discount_fallback"], input=text(train).encode(),
                         capture_output=True, check=True)
    arpa.write_bytes(run.stdout)
    found = re.findall(r"(\d+) D1=(\S+) D2=(\S+) D3\+=(\S+)", run.stderr.decode())
    printed = subprocess.run([bin / "query", "-v", "word", arpa], input=text(test).encode(), capture_output=True,
                             check=True).stdout.decode()
    scores = iter([float(score) for score in re.findall(r"=\d+ \d+ (\S+)", printed)])
    lines = [[next(scores) for _ in range(len(line) + 1)] for line in test]
    assert next(scores, None) is None, "a score for every word and every end"
    return dict(order=order, discounts=[[float(value) for value in values] for _, *values in found], scores=lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kenlm", type=Path, required=True, help="unpacked sources of kenlm==0.3.0")
    bin, cases = built(parser.parse_args().kenlm.resolve()), []
    tokens = lambda lines: [[0] + [word + 2 for word in line] + [1] for line in lines]
    for train, test in [(lines(1, 390), lines(2, 39)), (lines(3, 13), lines(4, 13))]:
        with tempfile.TemporaryDirectory() as folder:
            models = [estimated(bin, order, train, test, Path(folder)) for order in ORDERS]
        seen = len({word for line in train for word in line})
        # The end of a line and the unknown word are classes too.
        cases.append(dict(classes=seen + 2, train=tokens(train), test=tokens(test), models=models))
    OUTPUT.write_text(json.dumps(dict(vocabulary=WORDS + 2, cases=cases)) + "\n")


if __name__ == "__main__":
    main()
