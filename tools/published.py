"""What of published results is identity, for tools/archive and tools/torture."""


def identity(results, reports):
    """File name → bytes of the files in `results`, without what a rerun measures anew.

    Evidence and the pages that `make pages` writes are left out; a CSV keeps the columns of the report's own, which tools/publish put before
    the measured ones. `reports` is the data/report folder of a checkout that made the figure.
    """
    found = {}
    for path in sorted(results.glob("*")):
        if path.name.endswith(".evidence.json") or path.name in ("README.md", "index.html"):
            continue
        data = path.read_bytes()
        own = next(iter(sorted(reports.glob(f"*/{path.name}"))), None)
        if path.suffix == ".csv" and own:
            columns = own.read_text().partition("\n")[0].count(",") + 1
            data = b"\n".join(b",".join(line.split(b",")[:columns]) for line in data.split(b"\n"))
        found[path.name] = data
    return found
