"""The two towers of OpenVLA, which take pixel values that are already normalised.

They are rows of the registry `unblind.vla.towers.TOWERS` beside mini's. Their names say all:
timm's model, its channels in the pixel values and, for twins, its sizes.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from unblind.vla.towers import TOWERS, Tower

#: timm's models in OpenVLA: width of a token. Both have patches of 14 pixels.
WIDTHS = {"vit_large_patch14_reg4_dinov2.lvd142m": 1024, "vit_so400m_patch14_siglip_224": 1152}
_PATCH = 14


def register(model: str, first: int, sizes: Mapping[str, int]) -> str:
    """Add a tower to the registry; return its name there.

    Args:
        model: timm's name, a key of `WIDTHS`.
        first: its first channel of the pixel values; it takes three.
        sizes: replace timm's ``embed_dim``, ``depth`` and ``num_heads`` (twins; else empty).
    """
    ending = "".join(f" {key}={value}" for key, value in sorted(sizes.items()))
    name = f"{model} channels {first}-{first + 2}{ending}"

    def build(side: int) -> nn.Module:
        import timm

        return timm.create_model(model, pretrained=False, num_classes=0, img_size=side, **sizes)

    def tokens(net: nn.Module, pixels: Tensor, frozen: int) -> Tensor:
        picture = pixels[:, first : first + 3]
        # Second-to-last block, without the final norm; prefix tokens are dropped. What stands
        # behind that block is not computed.
        (found,) = net.forward_intermediates(
            picture,
            indices=[len(net.blocks) - 2],
            output_fmt="NLC",
            intermediates_only=True,
            stop_early=True,
        )
        return found

    width = sizes.get("embed_dim", WIDTHS[model])
    TOWERS.setdefault(name, Tower(build, lambda net, pixels, _: pixels, tokens, width, _PATCH))
    return name
