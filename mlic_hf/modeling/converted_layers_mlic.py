"""Layers that a quantiser put in place of others: are there any that would answer wrongly?"""

from __future__ import annotations

from torch import nn

# bitsandbytes packs the 4-bit weights of a CPU in whole blocks of so many outputs and inputs
BLOCK_OUTPUTS, BLOCK_INPUTS = 32, 64


def check_converted_layers(model: nn.Module) -> None:
    """Refuse layers that a quantiser replaced though they cannot be.

    Raises:
        ValueError: for a linear layer whose weight the backbone reads itself (timm's BEiT, EVA and Swin V2 add
            the query and value biases on their own), and for 4-bit layers of a CPU that do not fill whole blocks.
    """
    read = [
        f"{name}.qkv"
        for name, module in model.named_modules()
        if getattr(module, "q_bias", None) is not None and type(getattr(module, "qkv", None)) is not nn.Linear
    ]
    if read:
        raise ValueError(
            f"{len(read)} layers were quantised whose weights timm reads itself, the first {read[0]}; their answers "
            "would be wrong. Leave the backbone out: llm_int8_skip_modules=['backbone'] or "
            "modules_to_not_convert=['backbone'] in the quantisation config."
        )
    uneven = [
        name
        for name, module in model.named_modules()
        if getattr(module, "support_avx512bf16_for_cpu", False)
        and next(module.parameters()).device.type == "cpu"
        and (module.out_features % BLOCK_OUTPUTS != 0 or module.in_features % BLOCK_INPUTS != 0)
    ]
    if uneven:
        names = sorted({name.rpartition(".")[2] for name in uneven})
        raise ValueError(
            f"On a CPU bitsandbytes packs 4-bit layers in blocks of {BLOCK_OUTPUTS} outputs, {BLOCK_INPUTS} inputs, "
            f"which {len(uneven)} layers do not fill, the first {uneven[0]}. Leave them out: "
            f"llm_int8_skip_modules={names} in the quantisation config, or use load_in_8bit."
        )
