"""Workflows that join the stages; all have the same ``inputnode`` and ``outputnode``."""
