"""What every architecture's model does: backbone, head, outputs on request, building from timm."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import logging

from .backbone_mlic import Backbone, start_anew
from .config_checks_mlic import shown
from .configuration_mlic import MultiLabelConfig
from .converted_layers_mlic import check_converted_layers
from .encoder_source_mlic import EncoderSource
from .head_mlic import Head, HeadRequest, succeed
from .label_change_mlic import label_change
from .labels_mlic import checked_names, label_names, sources
from .localize_mlic import label_maps, localize_labels
from .outputs_mlic import MultiLabelOutput, known_cell_loss
from .pipeline_mlic import TASK, MultiLabelPipeline
from .predictions_mlic import predicted_labels
from .timm_backbone_mlic import TimmBackbone
from .transformers_backbone_mlic import TransformersBackbone
from .vision_encoder_mlic import stored_names

# bytes; where torch's own allocator starts every tensor
ALIGNMENT = 64
logger = logging.get_logger(__name__)
BACKBONE = "backbone."


class MultiLabelModel(PreTrainedModel):
    """Base of the architectures: `backbone` (timm or transformers) and `head`, whose parameters carry these prefixes.

    A subclass names its config and output class, what its head can give (`provides`), and builds the head.
    """

    config_class: Any = MultiLabelConfig
    backbone: Backbone
    head: Any
    # what a head's labels need beside their names, as keywords of `set_labels`
    label_inputs: tuple[str, ...] = ()
    output_class: type[MultiLabelOutput] = MultiLabelOutput
    provides: frozenset[str] = frozenset()
    base_model_prefix = ""
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False
    _supports_sdpa = True

    def __init__(self, config: MultiLabelConfig) -> None:
        config.check()
        super().__init__(config)
        self.backbone = (TimmBackbone if config.backbone_config is None else TransformersBackbone)(config)
        self.head = own(self.build_head(config))
        # both add and join what their layers give, which must lie on one device
        self._no_split_modules = [type(self.backbone).__name__, type(self.head).__name__]
        self.post_init()

    def build_head(self, config: Any) -> Head:
        """The head of this architecture, for `self.backbone.num_features` channels."""
        raise NotImplementedError

    def forward(
        self,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        output_label_embeddings: bool = False,
        output_feature_map: bool = False,
        output_stage_maps: bool = False,
        output_attentions: bool | None = None,
        output_class_maps: bool = False,
        output_hidden_states: bool | None = None,
        return_dict: bool = True,
        feature_map: Tensor | None = None,
    ) -> MultiLabelOutput | tuple[Any, ...]:
        """Logits of every label, and what else is asked for.

        Args:
            pixel_values: (B, 3, H, W), normalised with the backbone's mean and std.
            labels: (B, C) in {1, 0, -1} (-1 unknown), for the loss.
            output_label_embeddings: also label embeddings (B, C, d) and what belongs to them.
            output_feature_map: also the map (B, D, h, w) that the head reads.
            output_stage_maps: also the backbone's stages, fine to coarse.
            output_attentions: also the cross-attention weights; None for what the config says.
            output_class_maps: also class maps (B, C, h, w).
            output_hidden_states: the stages under the name that they have in transformers; None for what the
                config says.
            return_dict: False for a plain tuple without the empty fields.
            feature_map: (B, D, h, w), what the backbone gave for these images: the model starts from it, in place of
                pixel_values.

        Raises:
            ValueError: when something is asked for that this architecture does not have or a feature map does not
                give; with both or neither of pixel_values and feature_map.
        """
        attentions = self.config.output_attentions if output_attentions is None else output_attentions
        hidden_states = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        eager = self.config._attn_implementation == "eager"
        request = HeadRequest(output_label_embeddings, bool(attentions), output_class_maps, eager)
        self._check_request(request)
        stage_maps, with_stages = None, bool(output_stage_maps or hidden_states)
        if (pixel_values is None) == (feature_map is None):
            raise ValueError("The model starts from pixel_values or from their feature_map: give one of the two.")
        if pixel_values is not None:
            feature_map, stage_maps = self.backbone(pixel_values, with_stages=with_stages)
        elif with_stages:
            raise ValueError(
                "Stage maps come from pixel_values: leave output_stage_maps and output_hidden_states out with a "
                "feature_map."
            )
        fields = self.head(feature_map, request)
        loss = None if labels is None else known_cell_loss(fields["logits"], labels)
        output = self.output_class(
            loss=loss,
            feature_map=feature_map if output_feature_map else None,
            stage_maps=stage_maps if output_stage_maps else None,
            hidden_states=stage_maps if hidden_states else None,
            **fields,
        )
        return output if return_dict else output.to_tuple()

    @torch.no_grad()
    def predict_labels(
        self,
        pixel_values: Tensor,
        thresholds: float | Sequence[float] | str | None = None,
        calibrated: bool = False,
    ) -> list[list[dict[str, Any]]]:
        """The labels of each image (B, 3, H, W) with their scores: see `predicted_labels`."""
        return predicted_labels(self.config, self(pixel_values).logits, thresholds, calibrated)

    def label_maps(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, C), and where this model looks for each label, (B, C, h, w): see `label_maps`."""
        return label_maps(self, pixel_values)

    def localize(
        self, pixel_values: Tensor, thresholds: float | Sequence[float] | None = None, box_threshold: float = 0.4
    ) -> list[list[dict[str, Any]]]:
        """The predicted labels of each image (B, 3, H, W) with score, key point and box: see `localize_labels`."""
        return localize_labels(self, pixel_values, thresholds, box_threshold)

    def _check_request(self, request: HeadRequest) -> None:
        asked = {"attentions": request.attentions, "class_maps": request.class_maps}
        asked["label_embeddings"] = request.label_embeddings and "group_embeddings" not in self.provides
        for name in sorted(name for name, wanted in asked.items() if wanted):
            if name not in self.provides:
                raise ValueError(
                    f"{type(self).__name__} gives no {name}; it offers {sorted(self.provides)}. "
                    f"Leave output_{name} out or choose another architecture."
                )

    @classmethod
    def from_timm(
        cls,
        backbone: str,
        labels: Sequence[str],
        *,
        pretrained: bool | str | os.PathLike = True,
        **config_kwargs: Any,
    ) -> Any:
        """A new model on a timm backbone.

        Args:
            backbone: a timm model name.
            labels: the label names, in the order of the logits.
            pretrained: True for timm's weights, False for random ones, or the path of a local state dict
                (.safetensors or .pth) of that timm model.
            **config_kwargs: further fields of the architecture's config.

        Raises:
            ValueError: for repeated or empty label names, an unknown field, weights of another network.
            FileNotFoundError: when the path of the weights does not exist.
        """
        model = cls.create(labels, backbone=backbone, **config_kwargs)
        model.backbone.load_pretrained(model.config, pretrained)
        return model

    @classmethod
    def from_backbone(
        cls,
        backbone: Any,
        labels: Sequence[str],
        *,
        pretrained: bool | str | os.PathLike = True,
        **config_kwargs: Any,
    ) -> Any:
        """A new model on any backbone: a vision encoder of transformers, or a timm network.

        Args:
            backbone: a Hub name ("facebook/dinov2-small"), a local folder, a config of transformers (random
                weights) or a loaded model, whose weights are copied. A dual encoder (CLIP, SigLIP) gives its
                vision tower, a classifier its encoder. A name without "/" that is no folder, and "timm/...", are
                timm's: see `from_timm`.
            labels: the label names, in the order of the logits.
            pretrained: False for random weights; a path only for a timm network.
            **config_kwargs: further fields of the architecture's config. Pixel statistics, size and filter that
                are not given are those of the backbone's own image processor.

        Raises:
            ValueError: for a model without pixels or without a map, repeated or empty label names, an unknown
                field, weights without their pixel statistics.
            OSError: when there is no such name or folder.
        """
        if is_timm_name(backbone):
            return cls.from_timm(backbone.removeprefix("timm/"), labels, pretrained=pretrained, **config_kwargs)
        if not isinstance(pretrained, bool):
            raise ValueError(
                f"pretrained is {pretrained!r}; pass the folder of an encoder of transformers as backbone."
            )
        source = EncoderSource.read(backbone, pretrained)
        model = cls.create(labels, **{**source.config_fields(config_kwargs), **config_kwargs})
        source.fill(model.backbone)
        return model

    @classmethod
    def create(cls, labels: Sequence[str], **config_kwargs: Any) -> Any:
        """A model with random weights, whose config names its labels and pixel statistics.

        Args:
            labels: the label names, in the order of the logits.
            **config_kwargs: fields of the architecture's config.

        Raises:
            ValueError: for repeated or empty label names, an unknown field.
        """
        names = checked_names(labels)
        reject_unknown_fields(cls.config_class, config_kwargs)
        config = cls.config_class(
            id2label=dict(enumerate(names)),
            label2id={name: position for position, name in enumerate(names)},
            **config_kwargs,
        )
        model = cls(config)
        config.image_mean, config.image_std = model.backbone.mean, model.backbone.std
        config.interpolation = model.backbone.interpolation
        return model

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike | None,
        *args: Any,
        labels: Sequence[str] | None = None,
        image_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """As in transformers. Tensors of the backbone that are missing start as in a new network of its library.

        The weights are moved to aligned memory, so that logits are bit-equal: a checkpoint is mapped into memory,
        where its tensors start anywhere; matrix products of few rows round differently there.

        Args:
            pretrained_model_name_or_path, *args, **kwargs: as in transformers. Other labels asked for by
                `num_labels`, `id2label` or `config` are given as `labels` would be; those that are new need
                `ignore_mismatched_sizes=True`.
            labels: the label names in the order of the logits, where they are not the checkpoint's own: what a
                label has is kept by its name, the others start anew, see `set_labels`.
            image_size: another input size than the stored one, see `set_image_size`.

        Raises:
            ValueError: when a tensor of the backbone has another shape, `ignore_mismatched_sizes` or not: it
                belongs to another network or input size; for labels that nobody said may start anew.
        """
        path, with_info = pretrained_model_name_or_path, kwargs.pop("output_loading_info", False)
        inputs = {name: kwargs.pop(name) for name in cls.label_inputs if name in kwargs}
        change, kwargs = label_change(cls.config_class, path, labels, kwargs)
        model, info = super().from_pretrained(path, *args, output_loading_info=True, **kwargs)
        model._complete_backbone(info)
        check_converted_layers(model)
        for tensor in (*model.parameters(), *model.buffers()):
            plain = type(tensor.data) is Tensor and type(tensor) in (Tensor, nn.Parameter)
            if plain and tensor.device.type == "cpu" and tensor.data_ptr() % ALIGNMENT != 0:
                tensor.data = tensor.data.clone()
        if image_size is not None:
            model.set_image_size(image_size)
        if change is not None or inputs:
            model.set_labels(model.label_names if change is None else change.names, **inputs)
        for name, value in (change.fields if change is not None else {}).items():
            setattr(model.config, name, value)
        model.config.check()
        return (model, info) if with_info else model

    def _complete_backbone(self, info: dict[str, Any]) -> None:
        wrong = sorted(entry for entry in info["mismatched_keys"] if entry[0].startswith(BACKBONE))
        if wrong:
            name, found, wanted = wrong[0]
            raise ValueError(
                f"{len(wrong)} tensors of the backbone do not fit {self.config.backbone} at {self.config.image_size} "
                f"pixels, the first {name}: {tuple(found)}, expected {tuple(wanted)}. For another input size "
                "leave config and shapes alone and pass image_size= to from_pretrained."
            )
        missing = sorted(key.removeprefix(BACKBONE) for key in info["missing_keys"] if key.startswith(BACKBONE))
        if missing:
            start_anew(self.backbone, missing, self.config)

    @property
    def label_names(self) -> list[str]:
        """The labels, in the order of the logits."""
        return label_names({"id2label": self.config.id2label})

    def set_labels(self, labels: Sequence[str]) -> list[str]:
        """Make this a model for other labels, in place. What a label has is kept by its name.

        Weights, queries, threshold and calibration of the labels that both have go with the names; the others
        start anew. The logits of labels that are kept stay equal in heads whose labels do not see each other
        (Linear, ML-Decoder, Query2Label without self-attention of the labels). Groups of ML-Decoder hold several
        labels in the order of their places: only labels whose group stays the same are kept there.

        Args:
            labels: the label names, in the order of the logits.

        Returns:
            the labels that start anew.

        Raises:
            ValueError: for repeated or empty names; when the head is quantised, offloaded or adapted.
        """
        anew = self._change_labels(labels)
        if anew:
            logger.warning(f"{len(anew)} of {len(labels)} labels start anew and need training: {shown(anew)}.")
        return anew

    def _change_labels(self, labels: Sequence[str]) -> list[str]:
        names, stored = checked_names(labels), self.label_names
        if names == stored:
            return []
        config = copy.deepcopy(self.config)
        config.set_labels(names)
        places = {position: place for position, place in enumerate(sources(names, stored)) if place is not None}
        head = own(self.build_head(config))
        taken = set(succeed(head, self.head, list(places), list(places.values())))
        self.head = head
        self.config.set_labels(names)
        return [name for position, name in enumerate(names) if position not in taken]

    def set_image_size(self, image_size: int) -> None:
        """Make this a model for another input size, in place; weights stay, position codes are resampled."""
        self.config.image_size = image_size
        self.backbone.set_image_size(self.config)

    def get_input_embeddings(self) -> nn.Module:
        """The first layer that sees the pixels, as vision models of transformers answer."""
        return self.get_submodule(self._input_layer_name())

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Put another layer in the place of the first one."""
        self.set_submodule(self._input_layer_name(), value)

    def _input_layer_name(self) -> str:
        # modules are registered in the order of the pass; those in front of the first layer hold others
        return next(
            f"backbone.{name}"
            for name, module in self.backbone.named_modules()
            if not list(module.children()) and list(module.parameters())
        )

    def reparameterize(self) -> Any:
        """Fuse the backbone's parallel branches (RepVGG and its like) for inference; returns the model.

        Raises:
            ValueError: when it is already fused or has nothing to fuse.
        """
        if self.config.reparameterized:
            raise ValueError("This model is already re-parameterised; call reparameterize() once.")
        self.eval()
        self.backbone.reparameterize()
        self.config.reparameterized = True
        return self

    def save_pretrained(self, save_directory: str | os.PathLike, *args: Any, **kwargs: Any) -> Any:
        """As in transformers; the saved folder also answers `AutoModel` and has its own pipeline."""
        kept = dict(getattr(self.config, "auto_map", None) or {})
        module = type(self).__module__.split(".")[-1]
        self.config.auto_map = {**kept, "AutoModel": f"{module}.{type(self).__name__}"}
        pipeline = f"{MultiLabelPipeline.__module__.split('.')[-1]}.{MultiLabelPipeline.__name__}"
        self.config.custom_pipelines = {TASK: {"impl": pipeline, "pt": ["AutoModelForImageClassification"]}}
        try:
            return super().save_pretrained(save_directory, *args, **kwargs)
        except NotImplementedError as error:
            if getattr(self.config, "quantization_config", None) is None:
                raise
            raise NotImplementedError(
                "This model was loaded from quantised weights, which the installed transformers cannot write again: "
                "copy the folder or repository that it came from."
            ) from error

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As in torch; also takes the names in a file that `save_pretrained` wrote, see `own_names`."""
        return super().load_state_dict(self.own_names(state_dict), *args, **kwargs)

    def own_names(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Tensors of a stored file under the names of this model's; transformers stores some encoders' by others."""
        stored = {} if self.config.backbone_config is None else stored_names(self)
        return {stored.get(name, name): tensor for name, tensor in tensors.items()}

    def _init_weights(self, module: Any) -> None:
        # timm has initialised its own modules; from_pretrained builds on the meta device, where buffers
        # that are not stored must be computed anew
        if hasattr(module, "init_non_persistent_buffers"):
            module.init_non_persistent_buffers()
        if getattr(module, "_mlic_own", False) and hasattr(module, "reset_parameters"):
            module.reset_parameters()


def is_timm_name(backbone: Any) -> bool:
    """Whether a backbone is asked for by its name in timm: "timm/..." or a text without "/" that is no folder."""
    named = isinstance(backbone, str) and not os.path.isdir(backbone)
    return named and (backbone.startswith("timm/") or "/" not in backbone)


def own(head: Head) -> Head:
    """Mark the modules of a head as those that this package initialises."""
    for module in head.modules():
        module._mlic_own = True  # type: ignore[assignment]
    return head


def reject_unknown_fields(config_class: type[MultiLabelConfig], fields: dict[str, Any]) -> None:
    """Raises ValueError for a keyword that this config does not have (a config itself accepts anything)."""
    known = set(config_class().to_dict()) | {"thresholds"}
    unknown = sorted(set(fields) - known)
    if unknown:
        offered = sorted(known - set(MultiLabelConfig.__mro__[1]().to_dict()))
        raise ValueError(f"{config_class.__name__} has no field {unknown}; its own fields are {offered}.")
