"""Documents on stdout, in the form that was asked for.

`-o json` prints an object for one name and an array for a list, so that no objects are `[]`;
`-o yaml` prints documents that `moor apply -f -` takes back.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from mooring.cli.tables import Table
from mooring.core.columns import columns
from mooring.core.naming import label

Document = dict[str, Any]

_FOR_PROGRAMS = {"managedFields", "ownerReferences"}

FORMATS = ("wide", "json", "yaml", "name")

output_option = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(FORMATS),
    default=None,
    help="Instead of a table: wide, json, yaml or name.",
)


def now() -> datetime:
    """The moment that ages are counted from."""
    return datetime.now(UTC)  # noqa: TID251  # importing the Clock takes longer than most commands


def as_json(value: Any) -> str:
    """Indented JSON."""
    import json

    return json.dumps(value, indent=2, ensure_ascii=False)


def as_yaml(document: Any) -> str:
    """A YAML document, fields in their own order."""
    import yaml

    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100))


def named(document: Document) -> str:
    """`server/time`."""
    metadata = document["metadata"]
    return label(document["kind"], metadata.get("namespace", ""), metadata["name"])


def _plain(document: Document) -> Document:
    """Without what only programs read: whose each field is, and the object itself where it is."""
    hidden = {"managedFields"} if document["metadata"].get("ownerReferences") else _FOR_PROGRAMS
    metadata = {k: v for k, v in document["metadata"].items() if k not in hidden}
    return {**document, "metadata": metadata}


class Writer:
    """Writes documents of one kind, at once or one by one."""

    def __init__(
        self, kind: str, form: str | None, *, namespaced: bool = False, headless: bool = False
    ) -> None:
        self._form = form
        self._namespaced = namespaced
        self._columns = columns(kind, wide=form == "wide")
        heads = [column.name for column in self._columns]
        states = [index for index, column in enumerate(self._columns) if column.state]
        if namespaced:
            heads, states = ["NAMESPACE", *heads], [index + 1 for index in states]
        self._table = Table(heads, states=states, headless=headless)

    @property
    def tabular(self) -> bool:
        """Whether a table is written."""
        return self._form in (None, "wide")

    def all(self, documents: Sequence[Document], *, single: bool = False) -> None:
        """A list of documents, or a single one."""
        documents = [_plain(each) for each in documents]
        if self.tabular:
            self.rows(documents)
        elif self._form == "json":
            print(as_json(documents[0] if single else list(documents)))
        elif self._form == "yaml":
            print("---\n".join(as_yaml(each) for each in documents) or "[]\n", end="")
        else:
            for document in documents:
                print(named(document))

    def more(self, documents: Sequence[Document]) -> None:
        """More documents, as soon as they are there."""
        if self.tabular and documents:
            self.rows(documents)
        elif not self.tabular:
            for document in documents:
                self._one(_plain(document))

    def _one(self, document: Document) -> None:
        if self._form == "json":
            import json

            print(json.dumps(document, ensure_ascii=False))
        elif self._form == "yaml":
            print("---\n" + as_yaml(document), end="")
        else:
            print(named(document))
        sys.stdout.flush()

    def rows(self, documents: Sequence[Document]) -> None:
        """Rows of the table."""
        moment = now()
        rows = [[column.cell(each, moment) for column in self._columns] for each in documents]
        if self._namespaced:
            spaces = [each["metadata"].get("namespace", "") for each in documents]
            rows = [[space, *row] for space, row in zip(spaces, rows, strict=True)]
        self._table.print(rows)
