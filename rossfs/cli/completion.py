"""`rossfs completion`: what a shell needs to complete our commands and tags."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from rossfs.cli.main import COMPLETION_VARIABLE, rossfs

EPILOG = """\b
Examples:
  rossfs completion bash > /etc/bash_completion.d/rossfs
  rossfs completion zsh > "${fpath[1]}/_rossfs"
  rossfs completion fish > ~/.config/fish/completions/rossfs.fish
"""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL."""
    found = get_completion_class(shell)
    assert found is not None, "click knows these three"
    completion = found(rossfs, {}, "rossfs", COMPLETION_VARIABLE)
    # Not source(): that runs the shell to find out its version.
    click.echo(completion.source_template % completion.source_vars())
