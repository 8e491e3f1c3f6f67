"""Models at work on whole files: rows stream in, rows with answers stream out, none is lost."""
