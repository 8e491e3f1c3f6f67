"""The web page: navigation, nothing else. Start it with ``streamlit run streamlit_app.py``."""

import streamlit as st

from classifier.ui import batch, classify, frame

st.set_page_config(page_title="Document classifier", page_icon="🗂️", layout="wide")
if frame.may_enter():
    st.navigation(
        [
            st.Page(classify.show, title="Classify", default=True),
            st.Page(batch.batch, title="Batch"),
        ]
    ).run()
    frame.log_out()
