"""`rossfs completion`: what a shell needs to complete our commands and tags."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from rossfs.cli.main import COMPLETION_VARIABLE, rossfs

_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n'
    local word response completion type value trim words=()

    # A colon divides words for readline, but not names of images.
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        if ((${#words[@]})) && [[ $word == :* || ${words[-1]} == *: ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
    if [[ ${words[-1]} == *:* && $COMP_WORDBREAKS == *:* ]]; then
        trim=${words[-1]%%:*}:
    fi

    response=$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) \
        %(complete_var)s=bash_complete $1)

    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        if [[ $type == 'dir' ]]; then
            COMPREPLY=()
            compopt -o dirnames
        elif [[ $type == 'file' ]]; then
            COMPREPLY=()
            compopt -o default
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=("${value#"$trim"}")
        fi
    done
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
"""click's script, but for names with colons."""

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
    template = _BASH if shell == "bash" else completion.source_template
    click.echo(template % completion.source_vars())
