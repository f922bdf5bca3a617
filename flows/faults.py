"""What a flow run fails with for reasons outside this code; the message is for the run's page."""


class FlowError(Exception):
    """A flow cannot do what it was asked for; the message names the remedy."""


class StageError(FlowError):
    """A stage has failed, with the stage's own message.

    Attributes:
        is_passing: Whether trying again later may help: the network was at fault.
        is_busy: Whether it did not begin: another process of DVC works on its files.
    """

    def __init__(self, message: str, is_passing: bool, is_busy: bool = False) -> None:
        """Makes the error."""
        super().__init__(message)
        self.is_passing = is_passing
        self.is_busy = is_busy


class StoppedError(FlowError):
    """A process was stopped because the flow run is being cancelled or has failed."""
