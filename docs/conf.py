project = "kltools"
author = "The kltools developers"
extensions = ["sphinx.ext.autodoc", "numpydoc"]
numpydoc_show_class_members = False
autodoc_typehints = "none"
html_theme = "alabaster"
