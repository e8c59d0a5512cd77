"""Models of other projects made into folders that the translator serves: `khulasa model convert`.

    source ─▶ detect ─▶ convert ─▶ manifest ─▶ trial ─▶ folder

`convert.py` is the path and the first file to read, `family.py` what a family must say of itself; each family has its
own file beside them. Nothing here runs when the translator serves.
"""
