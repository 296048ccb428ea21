"""Import this module before SAPIEN or ManiSkill: it sets up a Vulkan driver for them.

SAPIEN's own library needs graphics libraries the moment it is imported, so the order of imports
matters; modules of the simulator therefore begin with this one.
"""

from unblind.machine import renderer

renderer.ensure()
