"""Vectors become answers here: the linear head, similar documents, and the classifier that joins them.

Heads are plain arrays, so they can be stored without pickle, explained exactly and retrained in
seconds. Texts, labels and vectors may enter; files and screens may not.
"""
