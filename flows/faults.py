"""What a flow run fails with for reasons outside this code; the message is for the run's page."""


class FlowError(Exception):
    """A flow cannot do what it was asked for; the message names the remedy."""


class StageError(FlowError):
    """A stage has failed, with the stage's own message.

    Attributes:
        is_passing: Whether trying again later may help: the network was at fault.
    """

    def __init__(self, message: str, is_passing: bool) -> None:
        """Makes the error."""
        super().__init__(message)
        self.is_passing = is_passing


class StoppedError(FlowError):
    """A process was stopped because the flow run is being cancelled or has failed."""
