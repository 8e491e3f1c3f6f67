"""Texts become vectors here: float32 ``(n_documents, n_dims)``, each with the contract it was made under.

Only this room knows about transformers, tokenizers and torch. It takes plain strings and gives plain
arrays; what the vectors are used for is decided upstairs.
"""
