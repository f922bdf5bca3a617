"""Common parts of the commands: where one may run, how it reads numbers, and usage errors."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

PROJECT_FILES = ("dvc.yaml", "params.yaml")


class UsageError(typer.TyperException):
    """Options that do not go together."""

    exit_code = 2


def whole_number(word: str | int) -> int:
    """Reads a whole number of the command line; typer's own message does not show the word.

    Raises:
        BadParameter: If it is none.
    """
    try:
        return int(word)
    except ValueError:
        raise typer.BadParameter(f"must be a whole number, got {word}") from None


def number(word: str | float) -> float:
    """Reads a number of the command line.

    Raises:
        BadParameter: If it is none.
    """
    try:
        return float(word)
    except ValueError:
        raise typer.BadParameter(f"must be a number, got {word}") from None


def refuse(conflicts: Mapping[str, bool]) -> None:
    """Refuses options that do not go together.

    Args:
        conflicts: Message -> whether it applies.

    Raises:
        UsageError: With the first message that applies.
    """
    for message, applies in conflicts.items():
        if applies:
            raise UsageError(message)


def read_form(words: Sequence[str], *, is_unseen: bool) -> tuple[str, bool]:
    """Returns the form of a question, and whether the words have it.

    Args:
        words: Of the command line.
        is_unseen: Whether an unseen entity takes the place of the head or tail.
    """
    asked = [place for place, word in enumerate(words) if word == "?"]
    if is_unseen:
        is_form = (len(words), asked) in [(1, []), (2, [0]), (3, [1])]
        return 'RELATION, "?" RELATION or HEAD "?" TAIL', is_form
    is_form = len(asked) == len(words) - 2 and len(words) in (2, 3)
    return 'HEAD RELATION, "?" RELATION TAIL or HEAD "?" TAIL', is_form


class Command(TyperCommand):
    """A command that works in a project's folder; its help ends with examples, line by line."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command.

        Raises:
            UsageError: If the working folder is not a project's folder.
        """
        folder = Path.cwd()
        if missing := [name for name in PROJECT_FILES if not (folder / name).is_file()]:
            raise UsageError(
                f"{folder} is not the folder of a project: it has no {' and no '.join(missing)}; "
                f"go to your copy of the project (`cd FOLDER`) and run `imf {self.name}` there"
            )
        return super().invoke(ctx)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Writes the examples."""
        formatter.write(f"\nExamples:\n{textwrap.indent(ctx.command.epilog, '  ')}\n")


class ModelCommand(Command):
    """A command that works in any folder with a packed model, or a graph without a model."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; without `--model` and `--untrained` in a project's folder."""
        if ctx.params["model"] is None and ctx.params.get("untrained") is None:
            return super().invoke(ctx)
        return TyperCommand.invoke(self, ctx)


class MeasureCommand(Command):
    """A command with options that take several values: `--rows structure full --seeds 0 1`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeats the option before each further value: `--seeds 0 1` is `--seeds 0 --seeds 1`."""
        repeated: list[str] = []
        option = ""
        for word in args:
            is_value = not word.startswith("--")
            if option and is_value and repeated[-1] != option:
                repeated.append(option)
            if not is_value:
                option = word if word in {"--rows", "--seeds"} else ""
            repeated.append(word)
        return super().parse_args(ctx, repeated)
