"""Which function builds each of the 25 procedural objects."""

from unblind.sim.builtin import food, things, vessels

SHAPES = {
    "carrot": food.carrot,
    "kitchen shovel": things.shovel,
    "bread": food.bread,
    "plastic bottle": vessels.plastic_bottle,
    "7up can": vessels.can_7up,
    "zuchinni": food.zucchini,
    "ketchup bottle": vessels.ketchup,
    "watering can": vessels.watering_can,
    "pipe": things.pipe,
    "toy bear": things.bear,
    "fast food cup": vessels.fast_food_cup,
    "plant": things.plant,
    "banana": food.banana,
    "hamburger": food.hamburger,
    "golf ball": things.golf_ball,
    "BBQ sauce": vessels.bbq_sauce,
    "travel cup": vessels.travel_cup,
    "pepper": food.pepper,
    "nonstop can": vessels.nonstop_can,
    "potato": food.potato,
    "baguette": food.baguette,
    "champagne glass": vessels.champagne_glass,
    "kitchen spoon": things.spoon,
    "onion": food.onion,
    "cup": vessels.cup,
}
"""What builds each object's parts, in released order."""
