"""`rossfs tags`: the tags of a repository, or the repositories."""

from __future__ import annotations

import click

from rossfs.cli.names import repository_in
from rossfs.cli.output import print_json, print_table, time_text
from rossfs.cli.settings import Settings, pass_settings
from rossfs.store.store import Store

EPILOG = """\b
Examples:
  rossfs tags
  rossfs tags nginx
  rossfs tags --json lab/app | jq -r '.[].digest'
"""


@click.command(epilog=EPILOG)
@click.argument("repository", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@pass_settings
def command(settings: Settings, repository: str | None, as_json: bool) -> None:
    """List the tags of REPOSITORY with their digests; without it, list the repositories."""
    with Store.open(settings.store) as store:
        if repository is None:
            repositories = store.list_repositories()
            if as_json:
                print_json(repositories)
            else:
                for name in repositories:
                    click.echo(name)
            return
        tags = sorted(store.list_tags(repository_in(store, repository)))
    if as_json:
        print_json(
            [
                {"tag": tag.tag, "digest": str(tag.digest), "updated_at": tag.updated_at}
                for tag in tags
            ]
        )
        return
    rows = [(tag.tag, str(tag.digest), time_text(tag.updated_at)) for tag in tags]
    print_table(("TAG", "DIGEST", "UPDATED"), rows)
