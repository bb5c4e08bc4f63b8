"""Reads the Arrow IPC streams that Hugging Face's `datasets` writes: columns of text, of numbers, and of
lists of text, without nulls, dictionaries and compression. Anything else is refused.

Format: https://arrow.apache.org/docs/format/Columnar.html, messages as FlatBuffers.
"""

import struct

RECORD_BATCH = 3


def _table(buffer, place):
    """Places of a FlatBuffers table's fields; None where a field is left out."""
    vtable = place - struct.unpack_from("<i", buffer, place)[0]
    size = struct.unpack_from("<H", buffer, vtable)[0]
    offsets = struct.unpack_from(f"<{size // 2 - 2}H", buffer, vtable + 4)
    return [place + offset if offset else None for offset in offsets]


def _follow(buffer, place):
    return place + struct.unpack_from("<I", buffer, place)[0]


def _structs(buffer, place, form):
    """A vector of structs."""
    start = _follow(buffer, place)
    count = struct.unpack_from("<I", buffer, start)[0]
    size = struct.calcsize(form)
    return [struct.unpack_from(form, buffer, start + 4 + i * size) for i in range(count)]


def _strings(offsets, data):
    return [data[a:b].decode("utf-8") for a, b in zip(offsets, offsets[1:])]


def rows(raw, columns):
    """The rows of a stream as dictionaries.

    `columns`: by name, in the order of the schema, "text", "texts" or "int64".
    """
    place, result = 0, []
    while place < len(raw):
        mark, size = struct.unpack_from("<Ii", raw, place)
        if mark != 0xFFFFFFFF:
            raise ValueError(f"no message at byte {place}")
        if size == 0:
            break
        message = raw[place + 8:place + 8 + size]
        body_start = place + 8 + size
        fields = _table(message, _follow(message, 0))
        kind = message[fields[1]]
        length = struct.unpack_from("<q", message, fields[3])[0] if len(fields) > 3 and fields[3] else 0
        if kind == RECORD_BATCH:
            batch = _table(message, _follow(message, fields[2]))
            if len(batch) > 3 and batch[3]:
                raise ValueError("a compressed batch")
            nodes = _structs(message, batch[1], "<qq")
            buffers = _structs(message, batch[2], "<qq")
            body = raw[body_start:body_start + length]
            result += _batch(body, nodes, buffers, columns)
        place = body_start + length
    return result


def _batch(body, nodes, buffers, columns):
    nodes, buffers = iter(nodes), iter(buffers)

    def node():
        count, nulls = next(nodes)
        if nulls:
            raise ValueError("a null")
        next(buffers)
        return count

    def part():
        offset, size = next(buffers)
        return body[offset:offset + size]

    def numbers(form, count):
        return struct.unpack_from(f"<{count}{form}", part())

    table = {}
    for name, kind in columns.items():
        count = node()
        if kind == "int64":
            table[name] = numbers("q", count)
        elif kind == "text":
            offsets = numbers("i", count + 1)
            table[name] = _strings(offsets, part())
        else:
            lists = numbers("i", count + 1)
            items = node()
            offsets = numbers("i", items + 1)
            texts = _strings(offsets, part())
            table[name] = [texts[a:b] for a, b in zip(lists, lists[1:])]
    if next(nodes, None) is not None or next(buffers, None) is not None:
        raise ValueError("more columns than expected")
    return [dict(zip(table, row)) for row in zip(*table.values())]
