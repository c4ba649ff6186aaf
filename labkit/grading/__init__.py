"""Release, run and grade the notebooks; imports everything else of labkit and is imported by the command line only.

    solutions/ ──release──> notebooks/                       what students open
    solutions/ ──run──────> solutions/ with outputs          what a solved notebook prints
    submissions/ ──grade──> grades/                          points, with a reason for each

Grading, file by file: ``submissions`` finds the notebooks, ``pool`` gives each (student, task) a process of its own,
``attempt`` is what happens in it: ``notebook`` reads, ``restore`` puts the locked cells back, ``play`` runs the cells
with papermill, ``probe`` asks the student's functions, ``evidence`` is what the local Azure saw, ``rubric`` turns it
into scores. ``grade`` walks the class and ``report`` writes what came out.
"""
