"""What people type for words that a model may know: other names, abbreviations, word forms.

`fairy.models.instructions` uses them where the model knows the words on the right and not those on
the left. Tests: tests/models/test_instructions.py.
"""

from __future__ import annotations

# Longest first: "black & white" before "&"
SYNONYMS: dict[str, str] = {
    "black & white": "black and white",
    "black-and-white": "black and white",
    "b&w": "black and white",
    "b & w": "black and white",
    "b/w": "black and white",
    "bw": "black and white",
    "desaturate": "remove colour",
    "desaturated": "without colour",
    "colourless": "without colour",
    "colorless": "without colour",
    "grey scale": "greyscale",
    "gray scale": "grayscale",
    "monochromatic": "monochrome",
    "night time": "night",
    "nighttime": "night",
    "nightfall": "night",
    "midnight": "night",
    "nocturnal": "night",
    "sundown": "sunset",
    "sunrise": "sunset",
    "twilight": "dusk",
    "golden hour": "sunset",
    "snowfall": "snow",
    "snowstorm": "snow",
    "blizzard": "snow",
    "wintry": "winter",
    "wintery": "winter",
    "hazy": "haze",
    "fogged": "foggy",
    "8 bit": "pixel art",
    "8-bit": "pixel art",
    "8bit": "pixel art",
    "pixel-art": "pixel art",
    "pixelart": "pixel art",
    "pixelize": "pixelate",
    "pixelise": "pixelate",
    "heatmap": "thermal",
    "heat map": "thermal",
    "heat vision": "thermal",
    "infra-red": "infrared",
    "anime": "cartoon",
    "manga": "comic",
    "comics": "comic",
    "comic-book": "comic book",
    "graphic novel": "comic book",
    "blue print": "blueprint",
    "high-contrast": "high contrast",
    "engrave": "emboss",
    "engraved": "embossed",
    "bas-relief": "relief",
    "popart": "pop art",
    "pop-art": "pop art",
    "warhol": "pop art",
    "neon lights": "neon",
    "cyberpunk": "neon",
    "duo tone": "duotone",
    "duo-tone": "duotone",
    "paint-by-numbers": "paint by numbers",
    "inverse": "inverted",
    "sepia-toned": "sepia toned",
    "violet": "purple",
    "rectangle": "square",
    "disc": "circle",
}
# Words of what no edit does, and the edits that come nearest by meaning, by their names
RELATED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("gogh", "monet", "picasso", "oil", "watercolor", "watercolour", "acrylic", "mosaic"),
        ("paint_by_numbers", "poster", "comic"),
    ),
    **dict.fromkeys(
        ("charcoal", "ink", "sketchy", "crayon", "etching", "doodle"),
        ("pencil_sketch", "comic", "blueprint"),
    ),
    **dict.fromkeys(
        ("ghibli", "disney", "pixar", "simpsons", "animated", "animation", "illustration"),
        ("comic", "poster", "pop_art"),
    ),
    **dict.fromkeys(("lego", "minecraft", "voxel", "nintendo"), ("pixel_art",)),
    **dict.fromkeys(
        ("rain", "rainy", "raining", "storm", "stormy", "cloudy", "clouds", "overcast"),
        ("fog", "winter", "night"),
    ),
    **dict.fromkeys(("ice", "icy", "frozen", "frost", "christmas", "arctic"), ("winter",)),
    **dict.fromkeys(("smoke", "smoky", "dust", "underwater", "mystic", "spooky"), ("fog", "night")),
    **dict.fromkeys(("horror", "gloomy", "stars", "starry", "moody"), ("night", "fog")),
    **dict.fromkeys(
        ("gold", "autumn", "fall", "summer", "desert", "fire", "cozy", "mars"),
        ("sunset", "warm_film", "sepia"),
    ),
    **dict.fromkeys(
        ("1920s", "1950s", "1970s", "ancient", "antique", "western"),
        ("sepia", "warm_film", "black_and_white"),
    ),
    **dict.fromkeys(
        ("matrix", "futuristic", "robot", "robotic", "tron", "hologram", "laser"),
        ("neon", "thermal", "stage_light"),
    ),
    **dict.fromkeys(("concert", "party", "club", "spotlight"), ("stage_light", "neon")),
    **dict.fromkeys(("psychedelic", "rainbow"), ("other_hues", "pop_art")),
    **dict.fromkeys(("statue", "marble", "metal", "bronze", "clay"), ("emboss",)),
    **dict.fromkeys(("xray", "x-ray"), ("negative", "thermal")),
    **dict.fromkeys(("noir", "silent"), ("black_and_white", "high_contrast")),
}
# Endings that change a word's form, not its meaning
ENDINGS = ("iest", "ier", "ing", "ish", "like", "ed", "es", "er", "ly", "s", "y", "d", "e")
NEGATIONS = frozenset(("not", "never", "dont", "doesnt", "isnt", "cannot", "cant"))
# Known to some edits, as in "no circle"; with others they turn the meaning round
SHORT_NEGATIONS = frozenset(("no", "without"))
# Words that ask for nothing by themselves
EMPTY_WORDS = frozenset(
    ("make", "turn", "let", "convert", "change", "give", "please", "show", "set", "put", "become")
).union(
    ("picture", "image", "photo", "video", "scene", "clip", "footage", "movie", "look", "looks"),
    ("like", "style", "styled", "more", "very", "really", "everything", "whole", "all", "that"),
    ("can", "could", "would", "you", "i", "want", "my", "effect", "filter", "apply", "use", "do"),
    ("some", "something", "feel", "with", "us", "me", "so", "then", "should", "now", "see"),
)
