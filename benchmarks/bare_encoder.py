"""Embed the texts of a file and do nothing else; print the seconds, loading left out."""

import csv
import sys
import time
from pathlib import Path

from classifier import load_embedder
from classifier.datamodels import EncoderOptions

csv.field_size_limit(1 << 30)
with Path(sys.argv[1]).open(encoding="utf-8", newline="") as stream:
    texts = [row["text"] for row in csv.DictReader(stream)]
embedder = load_embedder("default", EncoderOptions(use_cache=False))
started = time.perf_counter()
embedder.encode(texts)
print(time.perf_counter() - started)
