"""Frozen vision teachers: networks that name image regions by feature vectors.

`registry` lists them, EfficientNet-Lites and published vision transformers alike;
`loading.load_teacher` gives one by its name as a `teacher.Teacher`.
"""
