"""Shell commands in messages, safe to paste with any path."""

import json
import shlex


def python_command(program: str) -> str:
    """Returns a shell command that runs a Python program, quoted against expansion."""
    return f"python -c {shlex.quote(program)}"


def literal(text: str) -> str:
    """Returns a Python string literal in double quotes, for single quotes of the shell."""
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
