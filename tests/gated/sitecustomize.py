"""Lets every Python whose path has this folder know the embedder that waits at a gate, as the family ``gated``."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from fakes import GatedEmbedder

from classifier.embedding.embedders import EMBEDDERS, Family

EMBEDDERS["gated"] = Family(lambda name, options: GatedEmbedder(name=f"gated:{name.source}"))  # noqa: ARG005 # a family takes both
