"""Train, run and trust a document classifier on your own machine.

``DocumentClassifier`` follows scikit-learn's contract on raw texts; ``load`` opens a saved model by
name, version or folder; ``explain`` says why it answers as it does; ``load_embedder`` gives the text
encoder alone, and ``EncoderOptions`` say how it is run. Importing this package is cheap: torch,
scikit-learn and the like are imported where a model is built.

Examples
--------
>>> import classifier
>>> sorted(classifier.__all__)
['DocumentClassifier', 'EncoderOptions', '__version__', 'explain', 'load', 'load_embedder']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from classifier.datamodels import EncoderOptions
    from classifier.embedding.embedders import load_embedder
    from classifier.modeling.explain import explain
    from classifier.modeling.model import DocumentClassifier
    from classifier.workflows import load

__version__ = "0.1.0"
__all__ = ["DocumentClassifier", "EncoderOptions", "__version__", "explain", "load", "load_embedder"]

_HOMES = {
    "DocumentClassifier": "classifier.modeling.model",
    "EncoderOptions": "classifier.datamodels",
    "explain": "classifier.modeling.explain",
    "load": "classifier.workflows",
    "load_embedder": "classifier.embedding.embedders",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'classifier' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
