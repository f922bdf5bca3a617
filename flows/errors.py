"""Errors of flow runs with causes outside this code; the run's page shows the message."""


class FlowError(Exception):
    """A flow cannot run as requested; the message names the remedy."""


class StageError(FlowError):
    """A stage has failed, with the stage's own message.

    Attributes:
        kind: Class of the stage's exception; "" if the stage did not start or was killed.
        is_temporary: Whether the network failed, so that a later try may succeed.
        is_busy: Whether the stage did not start because another DVC process uses its files.
    """

    def __init__(
        self, message: str, kind: str = "", is_temporary: bool = False, is_busy: bool = False
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.is_temporary = is_temporary
        self.is_busy = is_busy


class StoppedError(FlowError):
    """A process was stopped because the flow run is being cancelled or has failed."""
