"""`khulasa job run`: many articles from a file or folder to a file or folder, restartable. Start reading at `run.py`.

inputs ─▶ plan (done? repeated? a copy?) ─▶ answer, as many at once as the gateway takes ─▶ output, error file
"""
