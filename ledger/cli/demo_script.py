"""The script that `metaledger demo` writes, shows and runs: what a user's own would look like."""

SCRIPT = '''\
"""Count the events in flow-cytometry files, and keep a ledger of it."""

import sys
from pathlib import Path

import ledger as ln


def keywords(path: Path) -> dict[str, str]:
    """Return the keywords in the TEXT segment of an FCS file: $TOT events, $PAR channels, …"""
    data = path.read_bytes()
    first, last = int(data[10:18]), int(data[18:26])  # where the header says TEXT is
    text = data[first : last + 1].decode("latin-1")
    words = text[1:].split(text[0])  # it begins with its own separator
    return dict(zip(words[::2], words[1::2]))


at_least = int(sys.argv[1]) if len(sys.argv) > 1 else 0

ln.track(params={"at_least": at_least})

study = ln.ULabel(name="Immune study", description="what the files were measured for").save()
raw = ln.ULabel(name="Raw data").save()

files, lines = [], ["file,events,channels"]
for path in sorted(Path("data").glob("*.fcs")):
    artifact = ln.Artifact(path, key=f"raw/{path.name}").save()
    artifact.labels.add(study, raw)
    files.append(artifact)
    found = keywords(path)
    if int(found["$TOT"]) >= at_least:
        lines.append(f"{path.name},{int(found['$TOT'])},{int(found['$PAR'])}")

result = Path("counts.csv")
result.write_text("\\n".join(lines) + "\\n")
counts = ln.Artifact(result, key="counts.csv", description="events per file").save()
counts.labels.add(study)

ln.Collection([*files, counts], name="Immune study, all files").save()
ln.finish()
'''
