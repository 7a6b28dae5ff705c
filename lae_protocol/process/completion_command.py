"""``lae completion``: what a shell needs to complete ``lae``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what a shell needs to complete `lae`.

    \b
    bash: lae completion bash > ~/.local/share/bash-completion/completions/lae
    zsh:  lae completion zsh > ~/.zfunc/_lae    (with ~/.zfunc in fpath)
    fish: lae completion fish > ~/.config/fish/completions/lae.fish
    """  # noqa: D301  (click's mark of a paragraph that is not wrapped)
    kind = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    assert kind is not None, "click has all three"
    click.echo(kind(root, {}, "lae", "_LAE_COMPLETE").source())
