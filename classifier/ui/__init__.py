"""The web page, a thin shell: pages read widgets, call one workflow or the model, and render what comes back.

One module per page; `widgets` draws and returns input, `state` is the only home of caches and session keys, `uploads`
turns what a visitor sends into texts, `markup` and `style` make HTML that is inert whatever a text holds. Streamlit is
imported here and nowhere else; no other shell, no numpy, no scikit-learn and no SQL may enter.
"""
