"""The web page: navigation, nothing else. Start it with ``streamlit run streamlit_app.py``."""

import streamlit as st

from classifier.ui import batch, classify, explore, frame, models, report, review, train

st.set_page_config(page_title="Document classifier", page_icon="🗂️", layout="wide")
if frame.may_enter():
    st.navigation(
        [
            st.Page(classify.show, title="Classify", default=True),
            st.Page(batch.batch, title="Batch"),
            st.Page(train.train, title="Train"),
            st.Page(report.report, title="Report"),
            st.Page(explore.explore, title="Explore"),
            st.Page(review.review, title="Review"),
            st.Page(models.models, title="Models"),
        ]
    ).run()
    frame.log_out()
