"""The web page: navigation, nothing else. Start it with ``streamlit run streamlit_app.py``."""

import streamlit as st

from classifier.ui import batch, classify, models, train

st.set_page_config(page_title="Document classifier", page_icon="🗂️", layout="wide")
st.navigation(
    [
        st.Page(classify.show, title="Classify", default=True),
        st.Page(batch.batch, title="Batch"),
        st.Page(train.train, title="Train"),
        st.Page(models.models, title="Models"),
    ]
).run()
