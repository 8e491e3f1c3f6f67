"""Files become documents here: every row of a file comes out as a document or is listed as rejected.

`documents` is the door; `delimited`, `jsonlines`, `parquet` and `folders` each read one kind of file into a `Table`;
`compression` unpacks; `encodings` and `signatures` say what the bytes are; `columns` finds the text, the label and the
id; `values` turns cells into text. Nothing here alters a text, and nothing but files enters.
"""
