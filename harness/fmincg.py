from harness.conjugate_gradients import fmincg  # noqa
