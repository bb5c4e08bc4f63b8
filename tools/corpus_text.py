"""Plain text out of the forms that packages keep it in, for tools/fetch-corpus."""

import re
import struct
import unicodedata
import zlib
from collections import Counter
from html import unescape
from itertools import islice


def tidy(text):
    """No blank lines, no spaces around lines, no NUL."""
    return re.sub(r"\s*\n\s*", "\n", text.replace("\0", "")).strip()


def unwrapped(text):
    """Paragraphs, which blank lines part: one a line."""
    return "\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip())


def without_boilerplate(documents, words=4, times=8):
    """Documents without lines that are no prose: of fewer than `words` words, or in more than `times` documents."""
    documents = [document.split("\n") for document in documents]
    seen = Counter(line for lines in documents for line in set(lines))
    for lines in documents:
        yield "\n".join(line for line in lines if len(line.split()) >= words and seen[line] <= times)


SKIPPED = {"script", "style", "head", "nav", "table", "pre", "footer", "header", "form", "svg", "math"}
INLINE = {"a", "abbr", "b", "cite", "code", "em", "font", "i", "kbd", "samp", "small", "span", "strong", "sub", "sup",
          "tt", "u", "var",
          "app", "cmd", "file", "gui", "guiseq", "key", "keyseq", "link", "output", "sys"}  # of GNOME's help


def page(markup):
    """The prose of an HTML or XML page: no code, tables, menus and scripts; a block starts a line."""
    markup = re.sub(r"<!--.*?-->|<(script|style)\b.*?</\1\s*>", "", markup, flags=re.S | re.I)
    parts, skipped = [], 0
    for piece in re.split(r"(<[/!?]?[A-Za-z][^>]*>)", markup):
        tag = re.match(r"<([/!?]?)([A-Za-z][\w:-]*)", piece)
        if not tag:
            if not skipped:
                parts.append(re.sub(r"\s+", " ", unescape(piece)))
        elif tag[2].lower() in SKIPPED:
            if not piece.endswith("/>"):
                skipped = max(0, skipped + (-1 if tag[1] else 1))
        elif tag[2].lower() not in INLINE and not skipped:
            parts.append("\n")
    return tidy(re.sub(r"[ \xa0]+", " ", "".join(parts)))


def osis(text):
    """The text of OSIS or ThML markup, without notes."""
    text = re.sub(r"<note\b.*?</note>", "", text, flags=re.S)
    text = re.sub(r"</?(?:p|div|lb|l|lg|title|item|list|verse|chapter)\b[^>]*>", "\n", text)
    return tidy(unescape(re.sub(r"<[^>]*>", "", text)))


def sword_chapters(testament):
    """The chapters of a testament of a SWORD module compressed by book. An entry that stands for several
    verses is taken once."""
    data = testament.with_suffix(".bzz").read_bytes()
    blocks = [zlib.decompress(data[offset:offset + size])
              for offset, size, _ in struct.iter_unpack("<III", testament.with_suffix(".bzs").read_bytes())]
    chapter, last = [], None
    for entry in struct.iter_unpack("<IIH", testament.with_suffix(".bzv").read_bytes()):
        if entry == last or not entry[2]:
            continue
        last, (block, start, size) = entry, entry
        text = blocks[block][start:start + size].decode("utf-8", "replace")
        if re.search(r"<chapter\b[^>]*\bsID=", text):
            yield osis("\n".join(chapter))
            chapter = []
        chapter.append(text)
    yield osis("\n".join(chapter))


def dictd_entries(folder, name, inflate):
    """The entries of a dictionary in dictd's form, in the order of the book."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    def number(word):
        value = 0
        for letter in word:
            value = value * 64 + digits.index(letter)
        return value

    book = inflate((folder / f"{name}.dict.dz").read_bytes())
    places = set()
    for line in (folder / f"{name}.index").read_text("utf-8").splitlines():
        word, offset, size = line.split("\t")[:3]
        if not word.startswith("00"):
            places.add((number(offset), number(size)))
    for offset, size in sorted(places):
        yield book[offset:offset + size].decode("utf-8", "replace")


def accents(text):
    """The escapes of the Webster of 1913, [=a] or [u^] or [ae], as letters."""
    marks = {"`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", "=": "\u0304", '"': "\u0308", ".": "\u0307",
             ",": "\u0327"}
    text = re.sub(r"\[([`'^~=\".,])([A-Za-z])\]",
                  lambda m: unicodedata.normalize("NFC", m[2] + marks[m[1]]), text)
    text = re.sub(r"\[([A-Za-z])\^\]", lambda m: unicodedata.normalize("NFC", m[1] + "\u0306"), text)
    for name, letter in {"ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "deg": "°", "eth": "ð", "th": "þ",
                         "root": "√", "frac12": "½", "pound": "£", "sect": "§", "hand": "", "?": "?"}.items():
        text = text.replace(f"[{name}]", letter)
    return text


MAN_LAYOUT = re.compile(r"\.(TH|UR|UE|ds|de|if|ie|el|ft|in|ad|so)\b")


def man(source):
    """The prose of a manual page written with the man macros, without displays and tables."""
    lines, hidden = [], 0
    for line in source.split("\n"):
        if re.match(r"[.'](nf|EX|TS)\b", line):
            hidden += 1
        elif re.match(r"[.'](fi|EE|TE)\b", line):
            hidden = max(0, hidden - 1)
        elif hidden or line.startswith(('.\\"', "'\\\"")) or MAN_LAYOUT.match(line):
            continue
        elif re.match(r"\.(SH|SS)\b", line):
            lines += ["", line[4:].strip().strip('"'), ""]
        elif match := re.match(r"\.(BR|BI|IR|IB|RB|RI|SB|B|I|SM)\s+(.*)", line):
            words = [bare or quoted for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', match[2])]
            lines.append((" " if len(match[1]) == 1 else "").join(words))
        elif line.startswith("."):
            lines.append("")
        else:
            lines.append(line)
    text = "\n".join(lines)
    text = re.sub(r"\\f(\(..|\[[^]]*\]|.)|\\[&/,|^%:c]|\\s[-+]?\d", "", text)
    for escape, character in {r"\-": "-", r"\(aq": "'", r"\(dq": '"', r"\(em": "—", r"\(en": "–", r"\(bu": "•",
                              r"\(ti": "~", r"\(ha": "^", r"\(ga": "`", r"\e": "\\", r"\(rs": "\\", r"\(lq": '"',
                              r"\(rq": '"', r"\(co": "©", r"\ ": " ", r"\~": " ", r"\'": "'"}.items():
        text = text.replace(escape, character)
    return unwrapped(text)


def r_strings(stream):
    """The one vector of strings in R's serialization (XDR, version 2 or 3)."""
    position = 2
    (version,) = struct.unpack_from(">i", stream, position)
    position += 12
    if version == 3:
        (size,) = struct.unpack_from(">i", stream, position)
        position += 4 + size
    flags, count = struct.unpack_from(">ii", stream, position)
    assert flags & 255 == 16, f"expected strings, found type {flags & 255}"
    position += 8
    strings = []
    for _ in range(count):
        _, size = struct.unpack_from(">ii", stream, position)
        position += 8
        strings.append(stream[position:position + size].decode("utf-8"))
        position += size
    return strings


GRAM = 13  # words in a row that count as the same text


def grams(document):
    """The document's count of words, and a hash of each run of GRAM words, in order. Words are lowercased."""
    words = re.findall(r"\w+", document.lower())
    return len(words), list(map(hash, zip(*(islice(words, start, None) for start in range(GRAM)))))


def overlaps(documents, known):
    """Which part of the documents has a run of words in `known`, and which part of the words stands in one."""
    touched = covered = total = 0
    for document in documents:
        words, hashes = grams(document)
        hits = [position for position, value in enumerate(hashes) if value in known]
        touched += bool(hits)
        total += words
        end = 0
        for position in hits:
            covered += position + GRAM - max(position, end)
            end = position + GRAM
    return touched / len(documents), covered / total
