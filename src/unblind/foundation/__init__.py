"""The paper's teachers: published vision foundation models, frozen.

`table.load` gives a teacher by name; `table.ROWS` lists them. They offer what
`unblind.teachers.base.Teacher` asks for.
"""
