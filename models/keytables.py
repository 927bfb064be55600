r"""What the entries of the released files are called here, as data.

Each line is (pattern for a whole released name, name here, or ``None`` for an entry that only
training or classification needs); the first line that matches wins, and ``\1`` stands for what
the first bracket matched. Lines of a trunk leave out what a whole network's file puts before
them: ``backbone.`` there, ``segmenter.trunk.`` here.
"""

Table = tuple[tuple[str, str | None], ...]

TRUNKS: dict[str, Table] = {
    "resnet50": (
        (r"layer0\.0\.(.+)", r"network.conv1.\1"),
        (r"layer0\.1\.(.+)", r"network.bn1.\1"),
        (r"((?:conv1|bn1|layer[1-4])\..+)", r"network.\1"),
        (r"fc\..+", None),
    ),
    "hrnet_w48": (
        (r"conv([12])\.(.+)", r"conv\1.0.\2"),
        (r"bn([12])\.(.+)", r"conv\1.1.\2"),
        (r"transition1\.0\.(.+)", r"transition1.0.\1"),
        (r"transition1\.1\.0\.(.+)", r"transition1.1.\1"),
        (r"transition2\.2\.0\.(.+)", r"transition2.\1"),
        (r"transition3\.3\.0\.(.+)", r"transition3.\1"),
        (r"((?:layer1|stage[234])\..+)", r"\1"),
        (r"(?:incre_modules|downsamp_modules|final_layer|classifier)\..+", None),
    ),
    "wider_resnet38": (
        (r"(mod\d\..+)", r"\1"),
        (r"(?:bn_out|classifier|fc)\..+", None),
    ),
    "xception71": (
        (r"conv1\.(.+)", r"stem.0.\1"),
        (r"bn1\.(.+)", r"stem.1.\1"),
        (r"conv2\.(.+)", r"stem.3.\1"),
        (r"bn2\.(.+)", r"stem.4.\1"),
        (r"block1\.skip\.(.+)", r"block1.skip.0.\1"),
        (r"block1\.skipbn\.(.+)", r"block1.skip.1.\1"),
        (r"block1\.rep\.(.+)", r"block1.convs.\1"),
        (r"(block\d+)\.skip\.(.+)", r"blocks.\1.skip.0.\2"),
        (r"(block\d+)\.skipbn\.(.+)", r"blocks.\1.skip.1.\2"),
        (r"block2\.rep\.(.+)", r"blocks.block2.convs.\1"),
        (r"(block\d+)\.rep\.1\.(.+)", r"blocks.\1.convs.0.\2"),
        (r"(block\d+)\.rep\.2\.(.+)", r"blocks.\1.convs.1.\2"),
        (r"(block\d+)\.rep\.4\.(.+)", r"blocks.\1.convs.3.\2"),
        (r"(block\d+)\.rep\.5\.(.+)", r"blocks.\1.convs.4.\2"),
        (r"(block\d+)\.rep\.7\.(.+)", r"blocks.\1.convs.6.\2"),
        (r"(block\d+)\.rep\.8\.(.+)", r"blocks.\1.convs.7.\2"),
        (r"((?:conv|bn)[345]\..+)", r"exit.\1"),
        (r"fc\..+", None),
    ),
}

_ASPP: Table = (
    (r"aspp\.img_conv\.(.+)", r"aspp.pool.\1"),
    (r"aspp\.features\.(.+)", r"aspp.branches.\1"),
)
_OCR_BLOCK = r"ocr\.ocr_distri_head\.object_context_block\."

DECODERS: dict[str, Table] = {
    "deeplabv3plus": (
        *_ASPP,
        (r"bot_aspp\.(.+)", r"reduce.\1"),
        (r"bot_fine\.(.+)", r"high.\1"),
        (r"final\.([01])\.(.+)", r"head.0.\1.\2"),
        (r"final\.3\.(.+)", r"head.1.0.\1"),
        (r"final\.4\.(.+)", r"head.1.1.\1"),
        (r"final\.6\.(.+)", r"head.2.\1"),
    ),
    "deeperlab": (
        *_ASPP,
        (r"convs2\.(.+)", r"fine.\1"),
        (r"convs4\.(.+)", r"middle.\1"),
        (r"conv_up1\.(.+)", r"reduce.\1"),
        (r"conv_up2\.conv\.(.+)", r"join_middle.0.\1"),
        (r"conv_up2\.bn\.(.+)", r"join_middle.1.\1"),
        (r"conv_up3\.conv\.(.+)", r"join_fine.0.\1"),
        (r"conv_up3\.bn\.(.+)", r"join_fine.1.\1"),
        (r"conv_up5\.(.+)", r"head.\1"),
    ),
    "ocr": (
        (r"ocr\.conv3x3_ocr\.0\.(.+)", r"reduce.0.\1"),
        (r"ocr\.conv3x3_ocr\.1\.0\.(.+)", r"reduce.1.\1"),
        (r"ocr\.aux_head\.0\.(.+)", r"aux_head.0.0.\1"),
        (r"ocr\.aux_head\.1\.0\.(.+)", r"aux_head.0.1.\1"),
        (r"ocr\.aux_head\.2\.(.+)", r"aux_head.1.\1"),
        (_OCR_BLOCK + r"f_pixel\.0\.(.+)", r"query.0.0.\1"),
        (_OCR_BLOCK + r"f_pixel\.1\.0\.(.+)", r"query.0.1.\1"),
        (_OCR_BLOCK + r"f_pixel\.2\.(.+)", r"query.1.0.\1"),
        (_OCR_BLOCK + r"f_pixel\.3\.0\.(.+)", r"query.1.1.\1"),
        (_OCR_BLOCK + r"f_object\.0\.(.+)", r"key.0.0.\1"),
        (_OCR_BLOCK + r"f_object\.1\.0\.(.+)", r"key.0.1.\1"),
        (_OCR_BLOCK + r"f_object\.2\.(.+)", r"key.1.0.\1"),
        (_OCR_BLOCK + r"f_object\.3\.0\.(.+)", r"key.1.1.\1"),
        (_OCR_BLOCK + r"f_down\.0\.(.+)", r"value.0.\1"),
        (_OCR_BLOCK + r"f_down\.1\.0\.(.+)", r"value.1.\1"),
        (_OCR_BLOCK + r"f_up\.0\.(.+)", r"up.0.\1"),
        (_OCR_BLOCK + r"f_up\.1\.0\.(.+)", r"up.1.\1"),
        (r"ocr\.ocr_distri_head\.conv_bn_dropout\.0\.(.+)", r"join.0.0.\1"),
        (r"ocr\.ocr_distri_head\.conv_bn_dropout\.1\.0\.(.+)", r"join.0.1.\1"),
        (r"ocr\.cls_head\.(.+)", r"head.\1"),
    ),
}

ATTENTION: Table = (
    (r"scale_attn\.conv([01])\.(.+)", r"segmenter.attention.\1.0.\2"),
    (r"scale_attn\.bn([01])\.(.+)", r"segmenter.attention.\1.1.\2"),
    (r"scale_attn\.conv2\.(.+)", r"segmenter.attention.2.\1"),
    (r"scale_attn\.([02]\..+)", r"attention.\1"),
)
"""Heads of the strategies: hierarchical above, explicit below."""

TRAINING_ONLY: Table = ((r"criterion\..+", None),)
"""Entries that whole networks carry for training alone."""
