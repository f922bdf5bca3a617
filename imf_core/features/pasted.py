"""Commands of messages, for the user to paste into a shell, whatever a path in them holds."""

import json
import shlex


def python_command(program: str) -> str:
    """Writes a line of shell that runs a program, of which the shell expands nothing."""
    return f"python -c {shlex.quote(program)}"


def literal(text: str) -> str:
    """Writes a string of a program in double quotes, which the shell's single ones keep whole."""
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
