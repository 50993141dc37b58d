"""A learning-rate schedule."""

from pydantic import Field

from nmt.training.optimization import Schedule


class Linear(Schedule):
    """From the peak in a straight line down to a fraction of it, at the last update."""

    class Options(Schedule.Options):
        """Options of ``type: linear``."""

        end_fraction: float = Field(0.0, ge=0, le=1, description="the last rate as a fraction of the peak")

    needs_end = True

    def after_warmup(self, step: int) -> float:
        assert self.total_steps is not None
        done = min(1.0, (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps))
        return self.peak * (1 - done * (1 - self.options.end_fraction))
