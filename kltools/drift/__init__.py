"""Has the distribution of new rows drifted from that of a reference? Frames with numbers, categories and gaps.

`report` says what is told, `detector` and `monitor` what is called; `columns` reads data of any kind, `binning`
looks at one feature at a time, `joint` at all of them.
"""
