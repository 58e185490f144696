"""`moor get` and `moor events`: what there is."""

from typing import Any

import click

from mooring.cli.client import Query, path_of
from mooring.cli.completing import complete_kind_or_ref, complete_ref
from mooring.cli.failures import NOT_FOUND, Refusal
from mooring.cli.invocation import Invocation, everywhere, pass_invocation
from mooring.cli.output import Writer, output_option
from mooring.cli.targets import EVENT, Target, ref, targets
from mooring.core.columns import last_seen

Document = dict[str, Any]


@click.command(
    epilog="\b\nExamples:\n  moor get servers\n  moor get inst -o wide"
    "\n  moor get server time -o json\n  moor get servers -A -l team=core\n  moor get servers -w"
)
@click.argument("what", nargs=-1, metavar="KIND [NAME...]", shell_complete=complete_kind_or_ref)
@output_option
@click.option("-w", "--watch", "watching", is_flag=True, help="Go on showing changes.")
@click.option("-A", "--all-namespaces", is_flag=True, help="Look in all namespaces.")
@click.option("-l", "--selector", metavar="LABELS", help="Only objects with these labels: a=b,c.")
@click.option("--no-headers", is_flag=True, help="A table without its first line.")
@everywhere
@pass_invocation
def get(invocation: Invocation, /, what: tuple[str, ...], **options: Any) -> None:
    """Show objects of a kind.

    KIND is one of servers, groups, inst, events, secrets. Lists are printed as JSON arrays by
    -o json; a single name as an object.
    """
    meant = targets(what, invocation.namespace)
    for naming in dict.fromkeys(target.naming for target in meant):
        Getting(invocation, [t for t in meant if t.naming is naming], **options).run()


@click.command(epilog="\b\nExamples:\n  moor events\n  moor events --for server/time -w")
@click.option("--for", "about", metavar="KIND/NAME", shell_complete=complete_ref,
              help="Only what happened to this object.")  # fmt: skip
@output_option
@click.option("-w", "--watch", "watching", is_flag=True, help="Go on showing what happens.")
@click.option("-A", "--all-namespaces", is_flag=True, help="Look in all namespaces.")
@everywhere
@pass_invocation
def events(invocation: Invocation, /, about: str | None, **options: Any) -> None:
    """Show what happened, the latest last."""
    fields, namespace = None, invocation.namespace
    if about:
        target = ref(about, invocation.namespace)
        namespace = target.namespace
        fields = f"involvedObject.kind={target.naming.kind},involvedObject.name={target.name}"
    Getting(invocation, [Target(EVENT, namespace)], fields=fields, **options).run()


class Getting:
    """One kind, shown as asked."""

    def __init__(
        self, invocation: Invocation, meant: list[Target], fields: str | None = None, **options: Any
    ) -> None:
        self._api = invocation.api
        self._meant = meant
        self._naming = meant[0].naming
        self._everywhere = options["all_namespaces"]
        self._namespace = None if self._everywhere else meant[0].namespace
        self._query: Query = {
            "labelSelector": options.get("selector"),
            "fieldSelector": fields,
        }
        self._watching = options["watching"]
        self._writer = Writer(
            self._naming.kind,
            options["form"],
            namespaced=self._everywhere,
            headless=options.get("no_headers", False),
        )

    def run(self) -> None:
        """Fetches and prints."""
        if self._watching:
            self._watch()
        elif self._meant[0].name:
            self._print_named()
        else:
            self._print_all()

    def _print_all(self) -> None:
        path = path_of(self._naming, self._namespace)
        found: list[Document] = self._api.get(path, self._query)["items"]
        if self._naming is EVENT:
            found.sort(key=last_seen)
        if found or not self._writer.tabular:
            self._writer.all(found)
            return
        where = "" if self._everywhere else f" in namespace {self._namespace}"
        click.echo(f"No {self._naming.word}s found{where}.", err=True)

    def _print_named(self) -> None:
        """Prints what is found even where something else is not, like kubectl."""
        found: list[Document] = []
        missing: list[Refusal] = []
        for target in self._meant:
            try:
                found.append(self._api.get(path_of(target.naming, target.namespace, target.name)))
            except Refusal as refusal:
                if refusal.code != NOT_FOUND:
                    raise
                missing.append(refusal)
        if found:
            self._writer.all(found, single=len(self._meant) == 1)
        if missing:
            lines = "\n".join(refusal.message for refusal in missing)
            missing[0].message = f"{lines}. To see what there is: moor get {self._naming.word}s"
            raise missing[0]

    def _watch(self) -> None:
        names = {target.name for target in self._meant if target.name}
        path = path_of(self._naming, self._namespace)
        for batch in self._api.follow(path, self._query):
            documents = [document for _, document in batch]
            self._writer.more([d for d in documents if not names or d["metadata"]["name"] in names])
