"""An ontology file in the format OBO, as records of a registry.

1. A term is a record under its name; `is_a` are its parents. A term that is obsolete, or has no
   name, is left out.
2. An exact synonym is a synonym of the record, unless it means another record already. Broader,
   narrower and related ones mean something else, and are left out.
3. The registry says what else is kept: a text field `ontology_id` or `definition`, and for each
   other relation, such as `part_of`, a list of records of the same registry under its name. So
   being part of a thing is never taken for being a kind of it.
4. Everything is recorded, or nothing is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from ledger.display.messages import say
from ledger.errors import InvalidValueError
from ledger.input_files import read_small
from ledger.model.canonical import nfc
from ledger.model.definitions import Definition
from ledger.registries.vocabulary import known

_MOST = 1 << 30  # bytes of a file
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(\w*)')
_ESCAPED = re.compile(r"\\(.)")
_SIGNS = {"n": "\n", "t": "\t", "W": " "}


class Term(msgspec.Struct, kw_only=True):
    """One term of an ontology file; other terms are named by their ids."""

    line: int
    id: str = ""
    name: str = ""
    definition: str | None = None
    is_obsolete: bool = False
    synonyms: list[str] = []
    related: dict[str, list[str]] = {}


def read_terms(data: bytes, called: str) -> list[Term]:
    """Return the terms of an OBO file, in its order.

    Raises:
        InvalidValueError: It is no such file, or a term has no id, or the id of another one.
    """
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InvalidValueError(f"{called}: expected an OBO file in UTF-8") from None
    if not any(line.startswith(("format-version:", "[Term]")) for line in lines):
        raise InvalidValueError(
            f"{called}: expected an OBO file, which has 'format-version:' and [Term] stanzas"
        )
    found: list[Term] = []
    term: Term | None = None
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text.startswith("["):
            term = Term(line=number) if text.startswith("[Term]") else None
            found += [] if term is None else [term]
        elif term is not None and text and not text.startswith("!"):
            tag, colon, value = text.partition(":")
            if not colon:
                raise InvalidValueError(
                    f"{called}: line {number}: expected 'tag: value', got {text!r:.60}"
                )
            _take(term, tag.strip(), value.strip())
    ids: set[str] = set()
    for it in found:
        if not it.id or it.id in ids:
            what = f"the id '{it.id}' of an earlier one" if it.id else "no id"
            raise InvalidValueError(f"{called}: line {it.line}: a term has {what}")
        ids.add(it.id)
    return found


def _take(term: Term, tag: str, value: str) -> None:
    match tag:
        case "id":
            term.id = _bare(value)
        case "name":
            term.name = nfc(_unescaped(value.split(" ! ", maxsplit=1)[0]).strip())
        case "def" if found := _QUOTED.match(value):
            term.definition = _unescaped(found[1])
        case "is_obsolete":
            term.is_obsolete = _bare(value) == "true"
        case "synonym" if (found := _QUOTED.match(value)) and found[2] == "EXACT":
            term.synonyms.append(nfc(_unescaped(found[1]).strip()))
        case "is_a":
            term.related.setdefault("is_a", []).append(_bare(value))
        case "relationship":
            name, _, target = value.partition(" ")
            term.related.setdefault(name, []).append(_bare(target))
        case _:
            pass


def _bare(value: str) -> str:
    """Return an id without the comment and the modifiers behind it."""
    return (value.split(" ! ", maxsplit=1)[0].split("{", maxsplit=1)[0].split() or [""])[0]


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda it: _SIGNS.get(it[1], it[1]), text)


def import_terms(kind: type[Any], path: Any) -> list[Any]:
    """Record the terms of a file in a registry, and return their records.

    Raises:
        InvalidValueError: The file cannot be read as OBO, or two terms have one name.
    """
    called = str(path)
    terms = [
        it
        for it in read_terms(read_small(path, most=_MOST), called)
        if it.name and not it.is_obsolete
    ]
    definition = kind._definition()
    if not definition.is_named:
        raise InvalidValueError(f"{definition.title}: expected a registry whose records have names")
    names: dict[str, str] = {}
    by_name: dict[str, Term] = {}
    for it in terms:
        if it.name in by_name:
            raise InvalidValueError(
                f"{called}: line {it.line}: the name '{it.name}' of {it.id} is that of "
                f"{by_name[it.name].id}, too; a name means one record"
            )
        by_name[it.name], names[it.id] = it, it.name
    relations = _relations(definition)
    with kind._own_source().ledger.handler.batch():
        records = {it.id: kind(name=it.name, **_texts(definition, it)).save() for it in terms}
        left = _join(terms, records, relations)
        synonyms = _synonyms(kind, terms, records)
    _tell(left, synonyms)
    return list(records.values())


def _texts(definition: Definition, term: Term) -> dict[str, str]:
    given = {"ontology_id": term.id, "definition": term.definition}
    fields = {it.name for it in definition.fields if it.type.text == "str"}
    return {name: text for name, text in given.items() if name in fields and text is not None}


def _relations(definition: Definition) -> frozenset[str]:
    """Return the fields that are lists of records of the registry itself."""
    own = f"list[record[{definition.name}]]"
    return frozenset(it.name for it in definition.fields if it.type.text == own)


def _join(
    terms: Iterable[Term], records: dict[str, Any], relations: frozenset[str]
) -> dict[str, int]:
    """Record how terms hang together; return how many ends of each relation were left out."""
    left: dict[str, int] = {}
    for term in terms:
        record, is_changed = records[term.id], False
        for relation, ids in term.related.items():
            ends = [records[it] for it in dict.fromkeys(ids) if it in records]
            if relation == "is_a":
                record.parents.add(*ends)
            elif relation in relations:
                setattr(record, relation, ends)
                is_changed = True
            else:
                ends = []
            if len(ends) < len(ids):
                left[relation] = left.get(relation, 0) + len(ids) - len(ends)
        if is_changed:
            record.save()
    return left


def _synonyms(kind: type[Any], terms: Iterable[Term], records: dict[str, Any]) -> int:
    """Record exact synonyms; return how many were left out, as they mean another record."""
    vocabulary = known(kind.registry, kind._own_source())
    meant = {**vocabulary.others, **{name: name for name in vocabulary.names}}
    left = 0
    for term in terms:
        record, own = records[term.id], []
        for text in dict.fromkeys(term.synonyms):
            if text and meant.setdefault(text, record.name) == record.name:
                own.append(text)
            else:
                left += 1
        own = [text for text in own if text != record.name]
        if own:
            record.add_synonym(*own)
    return left


def _tell(left: dict[str, int], synonyms: int) -> None:
    for relation, count in left.items():
        what = (
            "no term of the file is at their end"
            if relation == "is_a"
            else (
                f"a field '{relation}' of the registry, a list of its records, would hold those "
                "between its terms"
            )
        )
        say("info", f"{count:,} links {relation} left out: {what}")
    if synonyms:
        say("info", f"{synonyms:,} synonyms left out: they mean another record already")
