"""Judgement lives here: calibration, metrics, and later audit, sampling and drift.

Everything is pure. Functions take ``proba (n, k)``, ``labels (n,)`` or ``embeddings (n, d)`` and give
arrays or frozen dataclasses; no model, no file and no widget enters.
"""
